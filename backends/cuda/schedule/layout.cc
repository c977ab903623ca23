#include "backends/cuda/schedule/layout.h"

#include <algorithm>
#include <numeric>

#include "modelbatch/util/round_up.h"

namespace modelbatch::cuda {
namespace {

// First fit: each buffer at the lowest offset that is free while it is in use.
std::vector<int64_t> Place(const std::vector<Lifetime>& lifetimes,
                           const std::vector<int64_t>& sizes, int64_t begin,
                           int64_t* end) {
  std::vector<int> order(lifetimes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return lifetimes[a].first < lifetimes[b].first;
  });
  std::vector<int64_t> offsets(lifetimes.size(), begin);
  std::vector<int> placed;
  *end = begin;
  for (const int b : order) {
    if (!lifetimes[b].used() || sizes[b] == 0) continue;
    std::vector<int> beside;  // in use at the same time, by offset
    for (const int other : placed) {
      if (lifetimes[other].last >= lifetimes[b].first &&
          lifetimes[b].last >= lifetimes[other].first) {
        beside.push_back(other);
      }
    }
    std::sort(beside.begin(), beside.end(),
              [&](int x, int y) { return offsets[x] < offsets[y]; });
    int64_t at = begin;
    for (const int other : beside) {
      if (at + sizes[b] <= offsets[other]) break;
      at = std::max(at, offsets[other] + sizes[other]);
    }
    offsets[b] = at;
    *end = std::max(*end, at + sizes[b]);
    placed.push_back(b);
  }
  return offsets;
}

}  // namespace

ModelLayout LayOut(const grouped::Plan& plan, const grouped::ModelPlan& model,
                   const BufferLifetimes& lifetimes, int64_t begin) {
  const size_t num_values = model.values.size();
  const auto stride = [&](size_t v) {
    return RoundUp(model.values[v].cols, kRowAlign);
  };
  std::vector<int64_t> sizes(lifetimes.buffers.size(), 0);
  const auto need = [&](int buffer, int64_t floats) {
    if (buffer < 0) return;
    sizes[buffer] = std::max(sizes[buffer], RoundUp(floats, kBufferAlign));
  };
  for (size_t v = 0; v < num_values; ++v) {
    need(lifetimes.value_buffer[v], plan.max_rows * stride(v));
    need(lifetimes.gradient_buffer[v], plan.max_rows * stride(v));
  }
  for (const int buffer : lifetimes.stats_buffer) {
    need(buffer, 2 * plan.max_rows);
  }

  ModelLayout layout;
  const std::vector<int64_t> offsets =
      Place(lifetimes.buffers, sizes, begin, &layout.end);
  const auto matrix = [&](int buffer, size_t v) {
    MatrixPlace place;
    if (buffer < 0 || !lifetimes.buffers[buffer].used()) return place;
    place.offset = offsets[buffer];
    place.ld = static_cast<int32_t>(stride(v));
    place.cols = static_cast<int32_t>(model.values[v].cols);
    return place;
  };
  const std::vector<bool> input = FindInputs(plan);
  for (size_t v = 0; v < num_values; ++v) {
    layout.values.push_back(matrix(lifetimes.value_buffer[v], v));
    if (input[v]) {
      const auto cols = static_cast<int32_t>(model.values[v].cols);
      layout.values.back() = {0, cols, cols};
    }
    layout.gradients.push_back(matrix(lifetimes.gradient_buffer[v], v));
  }
  for (const int buffer : lifetimes.stats_buffer) {
    layout.stats.push_back(buffer < 0 ? -1 : offsets[buffer]);
  }
  return layout;
}

}  // namespace modelbatch::cuda
