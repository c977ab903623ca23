// What follows from the features of a backend (c_api.h lists them).
#ifndef MODELBATCH_BACKEND_FEATURES_H_
#define MODELBATCH_BACKEND_FEATURES_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "modelbatch/backend/backend.h"

namespace modelbatch {

inline bool HasFeature(const Backend& backend, std::string_view name) {
  const std::vector<std::string> features = backend.capabilities().features;
  return std::find(features.begin(), features.end(), name) != features.end();
}

// How many steps of one call are worth it where nothing looks in between: 16
// with "train_steps", which leave a sixteenth of the time between two steps and
// let a stop wait for no more than these; 1 on others.
inline int64_t StepsThatPay(const Backend& backend) {
  return HasFeature(backend, "train_steps") ? 16 : 1;
}

}  // namespace modelbatch

#endif  // MODELBATCH_BACKEND_FEATURES_H_
