// The CUDA devices of this machine. A machine without any, or without a driver,
// is a normal one: the answer says why.
//
//   const DeviceReport report = ProbeDevices();
//   if (report.devices.empty()) return absl::UnavailableError(report.reason);
#ifndef BACKENDS_CUDA_DEVICE_H_
#define BACKENDS_CUDA_DEVICE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace modelbatch::cuda {

struct Device {
  int ordinal = 0;  // as the CUDA runtime counts, after CUDA_VISIBLE_DEVICES
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
};

struct DeviceReport {
  std::vector<Device> devices;  // those that the kernels are compiled for
  std::string reason;           // why there is none, or why some were left out
};

// Thread-safe. Leaves the calling thread's current device as it was.
DeviceReport ProbeDevices();

// "NVIDIA H200, sm_90, 132 multiprocessors, 139 GiB".
std::string Describe(const Device& device);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_DEVICE_H_
