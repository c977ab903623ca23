// What the machine can do at most, as work that is timed like a contender's:
// two processes of it are two cores.
#ifndef BENCHMARKS_COMPARE_LIMITS_H_
#define BENCHMARKS_COMPARE_LIMITS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "benchmarks/trainer.h"

namespace modelbatch::benchmarks {

struct LimitWork {
  double per_step = 0;  // floating-point operations, or bytes read and written
  std::function<absl::StatusOr<std::unique_ptr<Trainer>>()> make;
};

// Fused multiply-adds in registers.
LimitWork FmaWork();

// Square products by the OpenBLAS that is installed, by LibTorch.
LimitWork OpenBlasWork();
LimitWork LibTorchWork();

// Adam's traffic: p, m and v, `parameters` floats each, are read and written in
// place, 24 bytes a parameter.
LimitWork UpdateWork(int64_t parameters);
constexpr double kUpdateBytesPerParameter = 24;
// What those arrays hold.
constexpr double kStateBytesPerParameter = 12;

// Reads one half of `bytes` and writes the other.
LimitWork CopyWork(int64_t bytes);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_LIMITS_H_
