#include "modelbatch/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// As setlocale looks: the first that is set decides.
bool IsUtf8Locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = Variable(name);
    if (!value.empty()) {
      const std::string lower = absl::AsciiStrToLower(value);
      return absl::StrContains(lower, "utf-8") ||
             absl::StrContains(lower, "utf8");
    }
  }
  return false;
}

}  // namespace

Terminal Terminal::Of(int fd) {
  Terminal terminal;
  terminal.is_terminal = isatty(fd) == 1 && Variable("TERM") != "dumb";
  terminal.colors = terminal.is_terminal && Variable("NO_COLOR").empty();
  terminal.unicode = IsUtf8Locale();
  winsize size;
  if (terminal.is_terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 &&
      size.ws_col > 0) {
    terminal.width = size.ws_col;
  }
  return terminal;
}

std::string Styled(const std::string& text, const char* style, bool colors) {
  if (!colors) return text;
  return absl::StrCat("\x1b[", style, "m", text, "\x1b[0m");
}

}  // namespace modelbatch
