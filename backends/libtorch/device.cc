#include "backends/libtorch/device.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "backends/libtorch/call_scope.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::libtorch {
namespace {

constexpr char kCudaLibrary[] = "libtorch_cuda.so";

absl::Status LoadCudaLibrary() {
  // Once in the process; never unloaded, as its operators register themselves.
  // Found beside libtorch_cpu.so, through the plugin's run path.
  static const std::string* const error = [] {
    if (dlopen(kCudaLibrary, RTLD_NOW | RTLD_LOCAL) != nullptr) {
      return new std::string;
    }
    const char* const reason = dlerror();
    return new std::string(reason == nullptr ? "unknown reason" : reason);
  }();
  if (error->empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "device cuda: LibTorch's ", kCudaLibrary, " does not load: ", *error));
}

}  // namespace

absl::StatusOr<DeviceChoice> ParseDevice(const std::string& name) {
  DeviceChoice device;
  if (name == "cpu") return device;
  device.cuda = true;
  if (name == "cuda") return device;
  if (absl::StartsWith(name, "cuda:") &&
      absl::SimpleAtoi(name.substr(5), &device.index) && device.index >= 0) {
    return device;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "device is \"", name, "\", expected \"cpu\", \"cuda\" or \"cuda:0\""));
}

absl::Status PrepareDevice(const DeviceChoice& device) {
  if (!device.cuda) return absl::OkStatus();
  MB_RETURN_IF_ERROR(LoadCudaLibrary());
  int count = 0;
  MB_RETURN_IF_ERROR(CatchTorch([&] {
    const at::CUDAHooksInterface& hooks = at::detail::getCUDAHooks();
    count = hooks.hasCUDA() ? static_cast<int>(hooks.deviceCount()) : 0;
  }));
  if (device.index < count) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "device cuda:", device.index, " does not exist: LibTorch ",
      count == 0 ? "finds no CUDA device" : absl::StrCat("finds ", count)));
}

}  // namespace modelbatch::libtorch
