// Where the backend computes: "cpu", or "cuda:0" and so on. The CUDA half of
// LibTorch is loaded when a CUDA device is first asked for, and not before: it
// needs libraries that a machine without a GPU lacks.
#ifndef BACKENDS_LIBTORCH_DEVICE_H_
#define BACKENDS_LIBTORCH_DEVICE_H_

#include <string>

#include "absl/status/statusor.h"

namespace modelbatch::libtorch {

struct DeviceChoice {
  bool cuda = false;
  int index = 0;  // of the CUDA device
};

// "cpu", "cuda" (the first), "cuda:0", "cuda:1", ... InvalidArgument lists
// them.
absl::StatusOr<DeviceChoice> ParseDevice(const std::string& name);

// Makes a device usable. Unavailable says which library or device is missing.
absl::Status PrepareDevice(const DeviceChoice& device);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_DEVICE_H_
