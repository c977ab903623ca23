#include "backends/libtorch/clip.h"

#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <cstdint>

namespace modelbatch::libtorch {
namespace {

// The entries of one column, [n, 1].
at::Tensor ColumnOf(const double* values, const std::vector<int>& models,
                    const at::Tensor& like, at::ScalarType type) {
  const int64_t rows = static_cast<int64_t>(models.size());
  at::Tensor column = at::empty({rows, 1}, at::kDouble);
  double* to = column.mutable_data_ptr<double>();
  for (const int model : models) *to++ = values[model];
  return column.to(like.device(), type);
}

}  // namespace

void ClipGradients(const grouped::GradientColumns& columns,
                   const std::vector<int>& models, at::Tensor gradient) {
  const auto column = [&](const double* values, at::ScalarType type) {
    return ColumnOf(values, models, gradient, type);
  };
  if (columns.scale != nullptr) {
    gradient.mul_(column(columns.scale, at::kFloat));
  }
  if (columns.clip_value != nullptr) {
    const at::Tensor most = column(columns.clip_value, at::kFloat);
    gradient.clamp_(most.neg(), most);
  }
  if (columns.clip_norm != nullptr) {
    const at::Tensor norm =
        at::linalg_vector_norm(gradient, 2, {1}, /*keepdim=*/true, at::kDouble);
    const at::Tensor factor =
        column(columns.clip_norm, at::kDouble).div(norm.add(1e-6)).clamp_max(1);
    gradient.mul_(factor.to(at::kFloat));
  }
}

}  // namespace modelbatch::libtorch
