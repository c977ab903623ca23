#include "backends/cuda/device.h"

#include <cuda_runtime_api.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backends/cuda/code_check.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

absl::Status ToStatus(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return absl::OkStatus();
  // The runtime keeps the last error and would report it to the next call that
  // asks.
  cudaGetLastError();
  return absl::UnavailableError(absl::StrCat(
      call, ": ", cudaGetErrorString(error), " (error ", error, ")"));
}

absl::StatusOr<Device> ProbeDevice(int ordinal) {
  cudaDeviceProp properties;
  MB_RETURN_IF_ERROR(ToStatus(cudaGetDeviceProperties(&properties, ordinal),
                              "cudaGetDeviceProperties"));
  MB_RETURN_IF_ERROR(ToStatus(cudaSetDevice(ordinal), "cudaSetDevice"));
  MB_RETURN_IF_ERROR(
      ToStatus(CheckCodeForCurrentDevice(), "cudaFuncGetAttributes"));
  Device device;
  device.ordinal = ordinal;
  device.name = properties.name;
  device.major = properties.major;
  device.minor = properties.minor;
  device.multiprocessors = properties.multiProcessorCount;
  device.memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  return device;
}

}  // namespace

DeviceReport ProbeDevices() {
  int count = 0;
  // No driver (error 35) and no device (error 100) are answers like any other.
  const absl::Status counted =
      ToStatus(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (!counted.ok())
    return {{}, absl::StrCat("no device: ", counted.message())};
  if (count == 0) return {{}, "no device: the driver lists none"};

  int current = 0;
  const bool restore = cudaGetDevice(&current) == cudaSuccess;
  DeviceReport report;
  std::vector<std::string> refused;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    absl::StatusOr<Device> device = ProbeDevice(ordinal);
    if (device.ok()) {
      report.devices.push_back(*std::move(device));
    } else {
      refused.push_back(
          absl::StrCat("device ", ordinal, ": ", device.status().message()));
    }
  }
  if (restore) cudaSetDevice(current);
  report.reason = absl::StrJoin(refused, "; ");
  return report;
}

std::string Describe(const Device& device) {
  return absl::StrCat(device.name, ", sm_", device.major, device.minor, ", ",
                      device.multiprocessors, " multiprocessors, ",
                      device.memory_bytes >> 30, " GiB");
}

}  // namespace modelbatch::cuda
