// A TOML file with the command line's overrides applied, and where each value
// came from. Private to config/: its users see checked structs.
#ifndef MODELBATCH_CONFIG_TOML_DOCUMENT_H_
#define MODELBATCH_CONFIG_TOML_DOCUMENT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/config/config_source.h"
#include "toml++/toml.h"

namespace modelbatch {

struct TomlDocument {
  toml::table root;
  ConfigSource source;
};

// `file` is for messages. Each of `overrides` is "path=value" with a TOML
// value; a bare word is taken for a string.
absl::StatusOr<TomlDocument> ParseToml(
    const std::string& text, const std::string& file,
    const std::vector<std::string>& overrides);

// `a string "abc"`, `an integer 3`, `a table`, ...
std::string DescribeToml(const toml::node& node);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_TOML_DOCUMENT_H_
