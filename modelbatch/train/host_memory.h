// Where a host without memory becomes a Status: around an attempt after which a
// run may go on with less, or has to clean up. (A plugin's memory is the ABI's
// business, and what is left the command's.)
//
//   absl::StatusOr<std::unique_ptr<Trainer>> trainer =
//       WithinHostMemory([&] { return Trainer::Create(&own, backend); });
#ifndef MODELBATCH_TRAIN_HOST_MEMORY_H_
#define MODELBATCH_TRAIN_HOST_MEMORY_H_

#include <new>
#include <stdexcept>
#include <utility>

#include "absl/status/status.h"

namespace modelbatch {

// What `function` returns, a Status or StatusOr; ResourceExhausted where it
// throws std::bad_alloc, or std::length_error: more than any host has. What it
// was changing is then good for nothing but destruction.
template <typename Function>
auto WithinHostMemory(Function&& function) -> decltype(function()) {
  try {
    return std::forward<Function>(function)();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return absl::ResourceExhaustedError("out of memory on the host");
}

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_HOST_MEMORY_H_
