#include "modelbatch/config/toml_document.h"

#include <charconv>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// A step of a path: a key, or an index.
using PathStep = std::variant<std::string, size_t>;

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

std::string Index(const std::string& path, size_t index) {
  return absl::StrCat(path, "[", index, "]");
}

void RecordPositions(const toml::node& node, const std::string& path,
                     ConfigSource* source) {
  if (const toml::table* table = node.as_table()) {
    for (const auto& [key, value] : *table) {
      const std::string child = Join(path, std::string(key.str()));
      // The key's own place; a [header] key has it as well.
      const toml::source_position at = key.source().begin;
      source->RecordPosition(child, static_cast<int>(at.line),
                             static_cast<int>(at.column));
      RecordPositions(value, child, source);
    }
  } else if (const toml::array* array = node.as_array()) {
    for (size_t i = 0; i < array->size(); ++i) {
      const toml::node& value = *array->get(i);
      const toml::source_position at = value.source().begin;
      source->RecordPosition(Index(path, i), static_cast<int>(at.line),
                             static_cast<int>(at.column));
      RecordPositions(value, Index(path, i), source);
    }
  }
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

absl::StatusOr<toml::table> Parse(const std::string& text,
                                  const std::string& file) {
  toml::parse_result result = toml::parse(text, file);
  if (result) return std::move(result).table();
  const toml::parse_error& error = result.error();
  const toml::source_position at = error.source().begin;
  return absl::InvalidArgumentError(absl::StrCat(
      file, ":", at.line, ":", at.column,
      ": not valid TOML: ", FirstLine(std::string(error.description()))));
}

// "model.layers[0].p" as steps; nullopt when malformed.
std::optional<std::vector<PathStep>> SplitPath(const std::string& path) {
  std::vector<PathStep> steps;
  size_t i = 0;
  while (i < path.size()) {
    if (path[i] == '[') {
      size_t index = 0;
      const char* end = path.data() + path.size();
      const auto [stop, error] = std::from_chars(&path[i] + 1, end, index);
      if (steps.empty() || error != std::errc() || stop == end ||
          *stop != ']') {
        return std::nullopt;
      }
      steps.push_back(index);
      i = stop - path.data() + 1;
      if (i < path.size() && path[i] != '.' && path[i] != '[') {
        return std::nullopt;
      }
      continue;
    }
    if (path[i] == '.') {
      if (steps.empty() || ++i == path.size()) return std::nullopt;
    }
    const size_t start = i;
    while (i < path.size() &&
           (absl::ascii_isalnum(path[i]) || path[i] == '_' || path[i] == '-')) {
      ++i;
    }
    if (i == start) return std::nullopt;
    steps.push_back(path.substr(start, i - start));
    if (i < path.size() && path[i] != '.' && path[i] != '[') {
      return std::nullopt;
    }
  }
  if (steps.empty()) return std::nullopt;
  return steps;
}

// A shell makes quotes awkward: `--set name=foo` and `--set data.path=a/b.csv`
// mean strings.
bool IsBareWord(const std::string& text) {
  if (text.empty() || !(absl::ascii_isalpha(text[0]) || text[0] == '_' ||
                        text[0] == '/' || text[0] == '.')) {
    return false;
  }
  for (char c : text) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-' && c != '/' &&
        c != '.') {
      return false;
    }
  }
  return true;
}

class Override {
 public:
  explicit Override(const std::string& text) : text_(text) {}

  absl::Status Apply(TomlDocument* document) const {
    const size_t equals = text_.find('=');
    if (equals == std::string::npos) {
      return Error("expected KEY=VALUE, as in --set optimizer.lr.max=0.3");
    }
    const std::string path =
        std::string(absl::StripAsciiWhitespace(text_.substr(0, equals)));
    const std::optional<std::vector<PathStep>> steps = SplitPath(path);
    if (!steps) {
      return Error(absl::StrCat("\"", path,
                                "\" is not a key such as "
                                "optimizer.lr or model.layers[0].p"));
    }
    const std::string value =
        std::string(absl::StripAsciiWhitespace(text_.substr(equals + 1)));
    toml::parse_result parsed = toml::parse(absl::StrCat("v = ", value));
    toml::table holder;
    if (parsed && parsed.table().size() == 1 && parsed.table().contains("v")) {
      holder = std::move(parsed).table();
    } else if (IsBareWord(value)) {
      holder.insert("v", value);
    } else {
      return Error(absl::StrCat("\"", value, "\" is not a TOML value"));
    }
    MB_RETURN_IF_ERROR(Assign(*steps, *holder.get("v"), document));
    document->source.Forget(path);
    document->source.RecordOption(path, Option());
    return absl::OkStatus();
  }

 private:
  std::string Option() const { return absl::StrCat("--set ", text_); }

  absl::Status Error(const std::string& message) const {
    return absl::InvalidArgumentError(absl::StrCat(Option(), ": ", message));
  }

  absl::Status Assign(const std::vector<PathStep>& steps,
                      const toml::node& value, TomlDocument* document) const {
    toml::node* at = &document->root;
    std::string path;
    for (size_t i = 0; i < steps.size(); ++i) {
      const bool last = i + 1 == steps.size();
      if (const size_t* index = std::get_if<size_t>(&steps[i])) {
        toml::array* array = at->as_array();
        if (array == nullptr) {
          return Error(absl::StrCat(path, " is ", DescribeToml(*at),
                                    ", expected an array"));
        }
        if (*index >= array->size()) {
          return Error(absl::StrCat(path, " has ", array->size(),
                                    " entries, found index ", *index));
        }
        if (last) array->replace(array->cbegin() + *index, value);
        at = array->get(*index);
        path = Index(path, *index);
        continue;
      }
      const std::string& key = std::get<std::string>(steps[i]);
      toml::table* table = at->as_table();
      if (table == nullptr) {
        return Error(absl::StrCat(path, " is ", DescribeToml(*at),
                                  ", expected a table with the key \"", key,
                                  "\""));
      }
      if (last) {
        table->insert_or_assign(key, value);
      } else if (!table->contains(key)) {
        table->insert(key, toml::table{});
        document->source.RecordOption(Join(path, key), Option());
      }
      at = table->get(key);
      path = Join(path, key);
    }
    return absl::OkStatus();
  }

  const std::string& text_;
};

}  // namespace

absl::StatusOr<TomlDocument> ParseToml(
    const std::string& text, const std::string& file,
    const std::vector<std::string>& overrides) {
  TomlDocument document;
  MB_ASSIGN_OR_RETURN(document.root, Parse(text, file));
  document.source = ConfigSource(file);
  RecordPositions(document.root, "", &document.source);
  for (const std::string& override_text : overrides) {
    MB_RETURN_IF_ERROR(Override(override_text).Apply(&document));
  }
  return document;
}

std::string DescribeToml(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return absl::StrCat("a string \"", **node.as_string(), "\"");
    case toml::node_type::integer:
      return absl::StrCat("an integer ", **node.as_integer());
    case toml::node_type::floating_point: {
      const std::string text = absl::StrCat(**node.as_floating_point());
      // 2.0 is no integer, and must not look like one.
      const bool whole = text.find_first_not_of("-0123456789") == text.npos;
      return absl::StrCat("a number ", text, whole ? ".0" : "");
    }
    case toml::node_type::boolean:
      return **node.as_boolean() ? "true" : "false";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

}  // namespace modelbatch
