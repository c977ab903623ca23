#include "modelbatch/config/split_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
// More are a typing error: every setting is trained once a fold.
constexpr int64_t kMaxFolds = 10'000;

bool ReadStratified(TableReader* table, bool classification) {
  const bool stratified = table->Bool("stratified", classification);
  if (stratified && !classification) {
    table->Fail("stratified",
                "is true, but regression has no classes to keep in "
                "proportion");
  }
  return stratified;
}

}  // namespace

void ReadFolds(TableReader* data, DataConfig* config) {
  if (data->Find("folds") == nullptr) return;
  TableReader table = data->Table("folds");
  FoldsConfig folds;
  folds.count = table.Int("count", {}, 2, kMaxFolds);
  folds.stratified = ReadStratified(&table, config->classification);
  folds.seed = table.Int("seed", 0, 0, kMaxInt);
  table.Finish();
  if (config->validation.has_value()) {
    data->Fail("folds",
               "every row is validated on in one of the folds, but "
               "data.validation has files of its own: expected one of the two");
  }
  config->folds = folds;
}

void ReadSplit(TableReader* data, DataConfig* config) {
  TableReader table = data->Table("split");
  SplitConfig& split = config->split;
  // A part that comes from elsewhere is no part of the main files.
  const auto part = [&](const char* name, double* value,
                        const char* elsewhere) {
    if (elsewhere == nullptr) {
      *value = table.Number(name, *value, 0, 1);
      return;
    }
    *value = 0;
    if (table.Find(name) != nullptr) {
      table.Fail(name, absl::StrCat(elsewhere,
                                    ": expected no part of the other rows"));
    }
  };
  part("validation", &split.validation,
       config->folds.has_value() ? "data.folds has the validation rows"
       : config->validation.has_value()
           ? "data.validation has the validation rows"
           : nullptr);
  part("test", &split.test,
       config->test.has_value() ? "data.test has the test rows" : nullptr);
  // The others' parts and 1 are no binary fractions: 1 - 0.15 - 0.15 is 0.7.
  split.train = table.Number(
      "train", std::max(0.0, 1 - split.validation - split.test), 0, 1);
  split.stratified = ReadStratified(&table, config->classification);
  split.seed = table.Int("seed", 0, 0, kMaxInt);
  table.Finish();
  const double sum = split.train + split.validation + split.test;
  if (table.ok() && std::abs(sum - 1) > 1e-6) {
    data->Fail("split", absl::StrCat("train + validation + test is ", sum,
                                     ", expected 1"));
  }
  if (table.ok() && split.train == 0) {
    table.Fail("train", "is 0, expected a part of the rows to train on");
  }
}

}  // namespace modelbatch
