#include "modelbatch/train/results_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/csv_records.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::ordered_json;

// Empty is NaN, as NumberText writes it.
std::optional<double> ToNumber(const std::string& text) {
  if (text.empty()) return std::numeric_limits<double>::quiet_NaN();
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (stop != end || error != std::errc()) return std::nullopt;
  return value;
}

// The fields of a CSV file by the names of its columns.
class Columns {
 public:
  static absl::StatusOr<Columns> Parse(const std::string& text,
                                       const std::string& file) {
    Columns columns;
    columns.file_ = file;
    MB_ASSIGN_OR_RETURN(columns.records_, ParseCsvRecords(text, file));
    std::set<std::string> names;
    for (const std::string& name : columns.names()) {
      if (!names.insert(name).second) {
        return columns.Error(
            0, absl::StrCat("there are two columns \"", name, "\""));
      }
    }
    return columns;
  }

  const std::vector<std::string>& names() const { return records_[0].fields; }
  size_t rows() const { return records_.size() - 1; }

  absl::StatusOr<size_t> Find(const std::string& name) const {
    const auto it = std::find(names().begin(), names().end(), name);
    if (it != names().end()) return it - names().begin();
    return Error(0, absl::StrCat("there is no column \"", name, "\""));
  }

  const std::string& Text(size_t row, size_t column) const {
    return records_[row + 1].fields[column];
  }

  absl::StatusOr<int64_t> Int(size_t row, size_t column, int64_t min) const {
    int64_t value = 0;
    if (absl::SimpleAtoi(Text(row, column), &value) && value >= min) {
      return value;
    }
    return Wrong(row, column,
                 absl::StrCat("expected an integer of at least ", min));
  }

  absl::StatusOr<double> Number(size_t row, size_t column) const {
    if (const std::optional<double> value = ToNumber(Text(row, column))) {
      return *value;
    }
    return Wrong(row, column, "expected a number");
  }

  absl::Status Wrong(size_t row, size_t column,
                     const std::string& expected) const {
    return Error(row + 1, absl::StrCat("column ", names()[column], ": found \"",
                                       Text(row, column), "\", ", expected));
  }

 private:
  // 0 is the header.
  absl::Status Error(size_t record, const std::string& message) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", records_[record].line, ": ", message));
  }

  std::string file_;
  std::vector<CsvRecord> records_;
};

// Numbers if any field is one: then all others have to be.
absl::StatusOr<ResultsColumn> ReadColumn(const Columns& columns,
                                         size_t column) {
  ResultsColumn out;
  out.name = columns.names()[column];
  bool numeric = false;
  for (size_t row = 0; row < columns.rows(); ++row) {
    out.texts.push_back(columns.Text(row, column));
    numeric |= ToNumber(out.texts.back()).has_value();
  }
  if (!numeric) return out;
  for (size_t row = 0; row < columns.rows(); ++row) {
    MB_ASSIGN_OR_RETURN(const double value, columns.Number(row, column));
    out.values.push_back(value);
  }
  return out;
}

// The fields of summary.json; the first error is kept.
class SummaryFields {
 public:
  SummaryFields(const Json& json, const std::string& file)
      : json_(json), file_(file) {}

  // `path` is "name", or "epochs/done".
  const Json* Find(const char* path) {
    if (!status_.ok()) return nullptr;
    const Json::json_pointer pointer(std::string("/") + path);
    if (json_.contains(pointer)) return &json_[pointer];
    Fail(absl::StrCat("\"", path, "\" is missing"));
    return nullptr;
  }

  void Read(const char* path, std::string* out) {
    const Json* value = Find(path);
    if (value == nullptr) return;
    if (!value->is_string()) return Wrong(path, *value, "a string");
    *out = value->get<std::string>();
  }

  void Read(const char* path, bool* out) {
    const Json* value = Find(path);
    if (value == nullptr) return;
    if (!value->is_boolean()) return Wrong(path, *value, "true or false");
    *out = value->get<bool>();
  }

  void Read(const char* path, int64_t* out) {
    const Json* value = Find(path);
    if (value == nullptr) return;
    if (!value->is_number_integer() || *value < 0 ||
        *value > std::numeric_limits<int64_t>::max()) {
      return Wrong(path, *value, "an integer of at least 0");
    }
    *out = value->get<int64_t>();
  }

  void Read(const char* path, double* out) {
    const Json* value = Find(path);
    if (value == nullptr) return;
    if (!value->is_number()) return Wrong(path, *value, "a number");
    *out = value->get<double>();
  }

  const absl::Status& status() const { return status_; }

 private:
  void Wrong(const char* path, const Json& found, const char* expected) {
    Fail(
        absl::StrCat("\"", path, "\" is ",
                     found.dump(-1, ' ', false, Json::error_handler_t::replace),
                     ", expected ", expected));
  }
  void Fail(const std::string& message) {
    status_ = absl::InvalidArgumentError(absl::StrCat(file_, ": ", message));
  }

  const Json& json_;
  const std::string& file_;
  absl::Status status_;
};

// With the line of an error; the library's exception ends here.
absl::StatusOr<Json> ParseJson(const std::string& text,
                               const std::string& file) {
  try {
    Json json = Json::parse(text);
    if (json.is_object()) return json;
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":1: expected a JSON object"));
  } catch (const Json::parse_error& error) {
    const size_t end = std::min(error.byte, text.size());
    return absl::InvalidArgumentError(absl::StrCat(
        file, ":", 1 + std::count(text.begin(), text.begin() + end, '\n'),
        ": is not JSON: ", error.what()));
  } catch (const Json::exception& error) {  // a number beyond all numbers
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", error.what()));
  }
}

}  // namespace

std::vector<int> ResultsTable::ByRank() const {
  std::vector<int> order(size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [this](int a, int b) { return ranks[a] < ranks[b]; });
  return order;
}

bool ResultsTable::IsFrozen(int index) const {
  return absl::StartsWith(statuses[index], "frozen ");
}

const ResultsColumn* ResultsTable::FindScore(const std::string& name) const {
  for (const ResultsColumn& column : scores) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

absl::StatusOr<ResultsTable> ParseResults(const std::string& text,
                                          const std::string& file) {
  MB_ASSIGN_OR_RETURN(const Columns columns, Columns::Parse(text, file));
  if (columns.rows() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":2: there are no models"));
  }
  ResultsTable table;
  MB_ASSIGN_OR_RETURN(const size_t model, columns.Find("model"));
  MB_ASSIGN_OR_RETURN(const size_t rank, columns.Find("rank"));
  MB_ASSIGN_OR_RETURN(const size_t status, columns.Find("status"));
  MB_ASSIGN_OR_RETURN(const size_t best_epoch, columns.Find("best_epoch"));
  std::set<int64_t> models;
  std::set<int64_t> ranks;
  for (size_t row = 0; row < columns.rows(); ++row) {
    MB_ASSIGN_OR_RETURN(const int64_t id, columns.Int(row, model, 0));
    if (!models.insert(id).second) {
      return columns.Wrong(row, model, "expected each model once");
    }
    table.models.push_back(id);
    MB_ASSIGN_OR_RETURN(const int64_t place, columns.Int(row, rank, 1));
    if (!ranks.insert(place).second) {
      return columns.Wrong(row, rank, "expected each rank once");
    }
    table.ranks.push_back(place);
    table.statuses.push_back(columns.Text(row, status));
    table.best_epochs.push_back(0);
    if (!columns.Text(row, best_epoch).empty()) {
      MB_ASSIGN_OR_RETURN(table.best_epochs.back(),
                          columns.Int(row, best_epoch, 1));
    }
  }
  for (size_t i = 0; i < columns.names().size(); ++i) {
    const std::string& name = columns.names()[i];
    if (i == model || i == rank || i == status || i == best_epoch ||
        name == "seed") {
      continue;
    }
    MB_ASSIGN_OR_RETURN(ResultsColumn column, ReadColumn(columns, i));
    // The paths of fields of the config have a dot, scores have none.
    auto& group = absl::StrContains(name, ".") ? table.swept : table.scores;
    group.push_back(std::move(column));
  }
  return table;
}

absl::StatusOr<CurvesTable> ParseCurves(const std::string& text,
                                        const std::string& file) {
  MB_ASSIGN_OR_RETURN(const Columns columns, Columns::Parse(text, file));
  MB_ASSIGN_OR_RETURN(const size_t epoch_column, columns.Find("epoch"));
  MB_ASSIGN_OR_RETURN(const size_t model_column, columns.Find("model"));
  CurvesTable table;
  std::vector<size_t> metrics;
  for (size_t i = 0; i < columns.names().size(); ++i) {
    if (i == epoch_column || i == model_column) continue;
    metrics.push_back(i);
    table.metrics.push_back(columns.names()[i]);
  }
  std::map<int64_t, size_t> places;  // of a model's id in table.models
  for (size_t row = 0; row < columns.rows(); ++row) {
    MB_ASSIGN_OR_RETURN(const int64_t id, columns.Int(row, model_column, 0));
    MB_ASSIGN_OR_RETURN(const int64_t epoch, columns.Int(row, epoch_column, 1));
    const auto [it, added] = places.emplace(id, table.models.size());
    if (added) {
      ModelCurve curve;
      curve.model = id;
      curve.values.resize(metrics.size());
      table.models.push_back(std::move(curve));
    }
    ModelCurve& curve = table.models[it->second];
    if (!curve.epochs.empty() && epoch <= curve.epochs.back()) {
      return columns.Wrong(
          row, epoch_column,
          absl::StrCat("expected more than ", curve.epochs.back(),
                       ", which model ", id, " has before"));
    }
    curve.epochs.push_back(epoch);
    for (size_t m = 0; m < metrics.size(); ++m) {
      MB_ASSIGN_OR_RETURN(const double value, columns.Number(row, metrics[m]));
      curve.values[m].push_back(value);
    }
  }
  return table;
}

absl::StatusOr<RunSummary> ParseSummary(const std::string& text,
                                        const std::string& file) {
  MB_ASSIGN_OR_RETURN(const Json json, ParseJson(text, file));
  SummaryFields fields(json, file);
  RunSummary summary;
  fields.Read("name", &summary.name);
  fields.Read("finished", &summary.finished);
  fields.Read("models", &summary.models);
  fields.Read("epochs/done", &summary.epochs_done);
  fields.Read("epochs/planned", &summary.epochs_planned);
  fields.Read("steps", &summary.steps);
  fields.Read("rows/train", &summary.train_rows);
  fields.Read("rows/validation", &summary.validation_rows);
  fields.Read("rows/test", &summary.test_rows);
  fields.Read("selected_by", &summary.selected_by);
  fields.Read("backend/name", &summary.backend);
  fields.Read("backend/version", &summary.backend_version);
  fields.Read("backend/build_id", &summary.backend_build_id);
  fields.Read("backend/path", &summary.backend_path);
  fields.Read("backend/device", &summary.device);
  fields.Read("modelbatch_version", &summary.modelbatch_version);
  fields.Read("machine/processor", &summary.processor);
  fields.Read("machine/cpus", &summary.cpus);
  fields.Read("machine/host", &summary.host);
  fields.Read("machine/system", &summary.system);
  fields.Read("times/started", &summary.started);
  fields.Read("times/finished", &summary.ended);
  fields.Read("times/seconds", &summary.seconds);
  fields.Read("times/model_rows_per_second", &summary.model_rows_per_second);
  fields.Read("times/resumed", &summary.resumed);
  fields.Read("memory/state_bytes", &summary.state_bytes);
  fields.Read("memory/workspace_bytes", &summary.workspace_bytes);
  fields.Read("plan", &summary.plan);
  if (!fields.status().ok()) return fields.status();
  return summary;
}

}  // namespace modelbatch
