// Failures end a benchmark: there is nothing to measure then.
#ifndef BENCHMARKS_CHECK_H_
#define BENCHMARKS_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch::benchmarks {

inline void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Take(absl::StatusOr<T> result) {
  Check(result.status());
  return *std::move(result);
}

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CHECK_H_
