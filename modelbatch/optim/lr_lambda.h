// Functions for lambda_lr, by name: a checkpoint can hold a name only, so a
// program that resumes registers its functions again, before it makes the
// schedule.
//
//   RegisterLrLambda("decay", [](int64_t epoch) { return 1.0 / (1 + epoch); });
//
// Thread-safe.
#ifndef MODELBATCH_OPTIM_LR_LAMBDA_H_
#define MODELBATCH_OPTIM_LR_LAMBDA_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch {

// Ticks done -> what the initial learning rate is multiplied by. The same for
// the same ticks, whenever it is called and for whichever model.
using LrLambda = std::function<double(int64_t)>;

// Takes the place of one of the same name for schedules made from now on.
// InvalidArgument: no name or no function.
absl::Status RegisterLrLambda(const std::string& name, LrLambda lambda);

// FailedPrecondition names what is not registered.
absl::StatusOr<LrLambda> FindLrLambda(const std::string& name);

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_LR_LAMBDA_H_
