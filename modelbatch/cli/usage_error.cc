#include "modelbatch/cli/usage_error.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/config/nearest.h"

namespace modelbatch {
namespace {

// The first word that is no option: of a command that there is not.
std::string FirstWord(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] != '-') return argv[i];
  }
  return "";
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    // The others are not for people.
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> OptionNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

std::string UnknownArgument(const CLI::App& command,
                            const std::vector<std::string>& extras) {
  const auto option = std::find_if(
      extras.begin(), extras.end(),
      [](const std::string& text) { return absl::StartsWith(text, "-"); });
  if (option == extras.end()) {
    return absl::StrCat("unexpected argument \"",
                        extras.empty() ? "" : extras.front(), "\"");
  }
  const std::string name = option->substr(0, option->find('='));
  const std::string near = NearestName(name, OptionNames(command));
  return absl::StrCat("no option ", name,
                      near.empty() ? "" : absl::StrCat("; did you mean ", near),
                      near.empty() ? "" : "?");
}

std::string Message(const CLI::ParseError& error) {
  const std::string message = error.what();
  // As the library says it: "--output: At Most 1 required but received 2".
  const size_t at = message.find(": At Most 1 required but received ");
  if (at != std::string::npos) {
    return absl::StrCat(message.substr(0, at), " is there ",
                        message.substr(message.rfind(' ') + 1),
                        " times, expected once");
  }
  return message;
}

}  // namespace

absl::Status UsageError(const CLI::App& app, int argc, const char* const* argv,
                        const CLI::ParseError& error) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  const std::string word = FirstWord(argc, argv);
  if (parsed.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        word.empty() ? UnknownArgument(app, {argv + 1, argv + argc})
                     : absl::StrCat("no command \"", word, "\"",
                                    SuggestName(word, CommandNames(app))),
        "; see modelbatch --help"));
  }
  const CLI::App& command = *parsed.front();
  const bool unknown = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  return absl::InvalidArgumentError(absl::StrCat(
      command.get_name(), ": ",
      unknown ? UnknownArgument(command, app.remaining(/*recurse=*/true))
              : Message(error),
      "; see modelbatch ", command.get_name(), " --help"));
}

void RefuseEmptyValues(CLI::App* app) {
  const CLI::Validator not_empty(
      [](const std::string& value) {
        return std::string(value.empty() ? "is empty, expected a value" : "");
      },
      "");
  for (CLI::App* command : app->get_subcommands(nullptr)) {
    if (command->get_group().empty()) continue;  // what programs give
    for (CLI::Option* option : command->get_options()) {
      option->check(not_empty);
    }
  }
}

}  // namespace modelbatch
