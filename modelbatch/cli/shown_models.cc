#include "modelbatch/cli/shown_models.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace modelbatch {

absl::StatusOr<ModelChoice> ShownModels(const RunRecord& run,
                                        const std::vector<std::string>& ids,
                                        int64_t top) {
  if (ids.empty()) return BestModels(run, top);
  std::vector<int64_t> numbers;
  for (const std::string& text : ids) {
    int64_t id = 0;
    if (!absl::SimpleAtoi(text, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model ", text, ": expected a model's number"));
    }
    numbers.push_back(id);
  }
  absl::StatusOr<ModelChoice> choice = TheseModels(run, numbers);
  if (choice.ok()) return choice;
  return absl::InvalidArgumentError(
      absl::StrCat("--model: ", std::string(choice.status().message())));
}

}  // namespace modelbatch
