#include "modelbatch/data/data_table.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

constexpr uint64_t kFnvPrime = 0x100000001b3u;

// FNV-1a over 64-bit words: data sets are large.
uint64_t Hash(uint64_t hash, const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  for (; bytes > 0; at += 8) {
    uint64_t word = 0;
    const size_t taken = bytes < 8 ? bytes : 8;
    std::memcpy(&word, at, taken);
    hash = (hash ^ word) * kFnvPrime;
    hash ^= hash >> 32;
    bytes -= taken;
  }
  return hash;
}

uint64_t Hash(uint64_t hash, const Tensor& tensor) {
  for (int64_t size : tensor.shape()) hash = Hash(hash, &size, sizeof(size));
  return Hash(hash, tensor.raw(), tensor.byte_size());
}

}  // namespace

int64_t CountClasses(const DataTable& table) {
  int64_t classes = 0;
  const int64_t* labels = table.targets.data<int64_t>();
  for (int64_t row = 0; row < table.rows(); ++row) {
    if (labels[row] == table.ignored_class) continue;
    classes = std::max(classes, labels[row] + 1);
  }
  return classes;
}

absl::Status CheckClasses(const DataTable& table, int64_t num_classes) {
  if (table.num_classes <= num_classes) return absl::OkStatus();
  const int64_t* labels = table.targets.data<int64_t>();
  int64_t row = 0;
  while (row + 1 < table.rows() &&
         (labels[row] < num_classes || labels[row] == table.ignored_class)) {
    ++row;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(table.where(row), ": label ", labels[row],
                   " is out of range, expected 0 to ", num_classes - 1,
                   ": the model has ", num_classes, " outputs"));
}

uint64_t Fingerprint(const DataTable& table) {
  return Hash(Hash(0xcbf29ce484222325u, table.features), table.targets);
}

}  // namespace modelbatch
