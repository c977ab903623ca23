// What the standard streams can show.
#ifndef MODELBATCH_CLI_TERMINAL_H_
#define MODELBATCH_CLI_TERMINAL_H_

#include <string>

namespace modelbatch {

struct Terminal {
  bool is_terminal = false;
  bool colors = false;   // a terminal, and NO_COLOR is not set
  bool unicode = false;  // the locale is UTF-8
  int width = 80;        // columns

  // Of the file descriptor, 1 or 2.
  static Terminal Of(int fd);
};

// `text` in an ANSI style ("1" bold, "31" red, ...), or as it is.
std::string Styled(const std::string& text, const char* style, bool colors);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_TERMINAL_H_
