#include "modelbatch/optim/lr_lambda.h"

#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, LrLambda> lambdas;
};

Registry& TheRegistry() {
  static auto* const kRegistry = new Registry;
  return *kRegistry;
}

}  // namespace

absl::Status RegisterLrLambda(const std::string& name, LrLambda lambda) {
  if (name.empty() || lambda == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the function \"", name, "\" for lambda_lr ",
                     name.empty() ? "has no name" : "is none"));
  }
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.lambdas[name] = std::move(lambda);
  return absl::OkStatus();
}

absl::StatusOr<LrLambda> FindLrLambda(const std::string& name) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto it = registry.lambdas.find(name);
  if (it != registry.lambdas.end()) return it->second;
  return absl::FailedPreconditionError(
      absl::StrCat("no function \"", name,
                   "\" is registered in this process: call RegisterLrLambda "
                   "before the schedule is made, also to resume"));
}

}  // namespace modelbatch
