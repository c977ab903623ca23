// Which way to cut up a matrix product is the fastest, by measuring.
#ifndef BACKENDS_CPU_MEASURE_PRODUCTS_H_
#define BACKENDS_CPU_MEASURE_PRODUCTS_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/tuning_table.h"

namespace modelbatch::cpu {

// Measures kGemmTilings on operands laid out as in a training step, on this
// thread: the least of several times, the ways by turns, so that a disturbance
// meets all of them. The default stays unless another is 2 % faster. The first
// shapes are measured first; those for which no time was left have no value.
// ResourceExhausted where the operands find no memory.
absl::StatusOr<std::vector<std::optional<TunedProduct>>> MeasureProducts(
    const Kernels& kernels, absl::Span<const ProductShape> shapes,
    absl::Duration limit);

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_MEASURE_PRODUCTS_H_
