#include "modelbatch/config/sweep_reader.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "modelbatch/config/toml_document.h"

namespace modelbatch {
namespace {

// More combinations, or models, than this are a typing error.
constexpr int64_t kMaxCount = 1'000'000;

class Reader {
 public:
  Reader(TableReader* table, bool integer, bool flag, const CheckNumber& check)
      : table_(table), integer_(integer), flag_(flag), check_(check) {}

  // One number of the sweep, checked.
  double Value(const toml::node& node, const std::string& path) {
    double value = 0;
    if (integer_) {
      if (!node.is_integer()) return Expected(node, path, "an integer");
      value = static_cast<double>(**node.as_integer());
    } else if (node.is_number()) {
      value = *node.value<double>();
    } else if (flag_ && node.is_boolean()) {
      value = **node.as_boolean() ? 1 : 0;
    } else {
      return Expected(node, path, "a number");
    }
    if (!std::isfinite(value)) {
      return Expected(node, path, "a finite number");
    }
    if (absl::Status status = check_(value); !status.ok()) {
      table_->FailAt(path, std::string(status.message()));
    }
    return value;
  }

  double Expected(const toml::node& node, const std::string& path,
                  const std::string& what) {
    table_->FailAt(
        path, absl::StrCat("expected ", what, ", found ", DescribeToml(node)));
    return 0;
  }

 private:
  TableReader* table_;
  bool integer_;
  bool flag_;  // true and false stand for 1 and 0
  const CheckNumber& check_;
};

void ReadValues(const toml::node& node, const std::string& path,
                Sweep::Kind kind, TableReader* table, Reader* reader,
                Sweep* sweep) {
  const toml::array* array = node.as_array();
  if (array == nullptr || array->empty()) {
    table->FailAt(path, "expected an array of at least one number");
    return;
  }
  sweep->kind = kind;
  for (size_t i = 0; i < array->size(); ++i) {
    sweep->values.push_back(
        reader->Value(*array->get(i), absl::StrCat(path, "[", i, "]")));
  }
}

// Whether the sweep is drawn from although the others make a grid.
bool ReadRandom(bool grid, TableReader* table) {
  const bool random = table->Bool("random", !grid);
  if (!grid && !random) {
    table->Fail("random",
                "is false, but population.search is \"random\", which draws "
                "from every sweep");
  }
  return grid && random;
}

void ReadRange(bool grid, TableReader* table, Reader* reader, Sweep* sweep) {
  sweep->kind = Sweep::Kind::kRange;
  for (const char* key : {"values", "min", "max", "scale", "count", "random"}) {
    table->Find(key);
  }
  table->Finish();  // a misspelt key first: it is why another is missing
  for (const char* key : {"min", "max"}) {
    const toml::node* node = table->Find(key);
    if (node == nullptr) {
      table->Fail(key, "missing, expected a number: a range has min and max");
      return;
    }
    (key == std::string("min") ? sweep->min : sweep->max) =
        reader->Value(*node, table->PathOf(key));
  }
  sweep->log = table->OneOf("scale", {"linear", "log"}) == "log";
  sweep->count =
      table->Int("count", 0, table->Find("count") ? 1 : 0, kMaxCount);
  sweep->random = ReadRandom(grid, table);
  if (!table->ok()) return;
  if (sweep->min > sweep->max) {
    table->Fail("min", absl::StrCat("is ", sweep->min, ", above max, which is ",
                                    sweep->max));
  } else if (sweep->log && sweep->min <= 0) {
    table->Fail("min", absl::StrCat("is ", sweep->min,
                                    ", expected a number above 0: the scale "
                                    "is logarithmic"));
  } else if (grid && !sweep->random && sweep->count == 0) {
    table->Fail("count",
                "missing: a grid needs how many values to take from "
                "a range");
  }
}

}  // namespace

Sweep Sweep::Fixed(double value, bool integer) {
  Sweep sweep;
  sweep.integer = integer;
  sweep.values = {value};
  return sweep;
}

Sweep ReadSweep(TableReader* table, const std::string& key, bool integer,
                bool grid, const CheckNumber& check, bool flag) {
  return ReadSweepAt(*table->Find(key), table->PathOf(key), table, integer,
                     grid, check, flag);
}

Sweep ReadSweepAt(const toml::node& node, const std::string& path,
                  TableReader* table, bool integer, bool grid,
                  const CheckNumber& check, bool flag) {
  Sweep sweep = Sweep::Fixed(0, integer);
  Reader reader(table, integer, flag, check);
  if (node.is_array()) {
    sweep.values.clear();
    ReadValues(node, path, Sweep::Kind::kList, table, &reader, &sweep);
    return sweep;
  }
  if (!node.is_table()) {
    if (!node.is_number() && !(flag && node.is_boolean())) {
      reader.Expected(node, path,
                      absl::StrCat(integer ? "an integer" : "a number",
                                   ", a list of one a model, { values = [...] "
                                   "} or { min, max, scale, count }"));
      return sweep;
    }
    sweep.values = {reader.Value(node, path)};
    return sweep;
  }
  sweep.values.clear();
  TableReader inner(node.as_table(), path, &table->source(), table->status());
  if (const toml::node* values = inner.Find("values")) {
    ReadValues(*values, inner.PathOf("values"), Sweep::Kind::kValues, &inner,
               &reader, &sweep);
    sweep.random = ReadRandom(grid, &inner);
    inner.Finish();
    return sweep;
  }
  ReadRange(grid, &inner, &reader, &sweep);
  return sweep;
}

}  // namespace modelbatch
