// Where a command may write: an --output that is another file by a slip must
// not cost it.
#ifndef MODELBATCH_CLI_OUTPUT_FILE_H_
#define MODELBATCH_CLI_OUTPUT_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace modelbatch {

// A file that is there is replaced if it is empty, or one of the kind that is
// written: it begins with `begins`. Else AlreadyExists, which calls the kind
// `kind`: "report". InvalidArgument: a folder.
absl::Status CheckOutputFile(const std::string& path, std::string_view begins,
                             std::string_view kind);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_OUTPUT_FILE_H_
