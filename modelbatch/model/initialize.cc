#include "modelbatch/model/initialize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "modelbatch/model/initializer.h"
#include "modelbatch/util/deterministic_math.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {
namespace {

constexpr double kDrawUnit = 0x1p-32;

class Draws {
 public:
  Draws(uint64_t seed, int index)
      : seed_(seed), op_(static_cast<uint32_t>(index)) {}

  std::array<uint32_t, 4> Block(int64_t block, uint64_t step = 0) const {
    return PhiloxBlock(seed_, RandomPurpose::kInitialize, op_, step,
                       static_cast<uint32_t>(block));
  }

 private:
  uint64_t seed_;
  uint32_t op_;
};

// Calls set(element, draw) for every element.
template <typename Set>
void ForEachDraw(const Draws& draws, int64_t size, Set set) {
  for (int64_t e = 0; e < size; e += 4) {
    const auto block = draws.Block(e / 4);
    for (int64_t j = 0; j < std::min<int64_t>(4, size - e); ++j) {
      set(e + j, block[j]);
    }
  }
}

// Calls set(element, z) for every element with a standard normal z.
template <typename Set>
void ForEachNormal(const Draws& draws, int64_t size, Set set) {
  for (int64_t e = 0; e < size; e += 2) {
    const auto block = draws.Block(e / 4);
    const double u = (block[e % 4] + 0.5) * kDrawUnit;
    const double radius = std::sqrt(-2 * Log(u));
    const CosSin turn = CosSinOfTurn(block[e % 4 + 1]);
    set(e, radius * turn.cos);
    if (e + 1 < size) set(e + 1, radius * turn.sin);
  }
}

// Draws from the normal distribution within [min, max]. Its density falls from
// the `mode`, the point nearest to the mean. Offsets from there, in standard
// deviations, keep their precision however far out it lies.
class TruncatedNormal {
 public:
  explicit TruncatedNormal(const Initializer& init)
      : mode_(std::clamp(init.mean, init.min, init.max)),
        std_(init.std),
        distance_((mode_ - init.mean) / init.std) {
    // A try at offset d is taken with probability exp(-d (2 distance + d) / 2),
    // compared with at least 2^-33: what lies beyond `reach` never is.
    constexpr double kNever = 45.8;  // 2 ln 2^33, rounded up
    const double reach = kNever / (std::sqrt(distance_ * distance_ + kNever) +
                                   std::abs(distance_));
    least_ = std::max((init.min - mode_) / init.std, -reach);
    most_ = std::min((init.max - mode_) / init.std, reach);
  }

  double Draw(const Draws& draws, int64_t element) const {
    for (uint64_t step = 1;; ++step) {
      const auto block = draws.Block(element, step);
      for (int word : {0, 2}) {
        const double offset =
            least_ + (most_ - least_) * ((block[word] + 0.5) * kDrawUnit);
        const double exponent = offset * (2 * distance_ + offset) / 2;
        if ((block[word + 1] + 0.5) * kDrawUnit < Exp(-exponent)) {
          return mode_ + std_ * offset;
        }
      }
    }
  }

 private:
  double mode_;
  double std_;
  double distance_;  // of the mode from the mean
  double least_;     // offset
  double most_;
};

// In eight chains, which are added in pairs: an order of its own, whatever the
// compiler does.
double Dot(const double* a, const double* b, int64_t size) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (int j = 0; i < size; ++i, ++j) sums[j] += a[i] * b[i];
  for (int half = 4; half >= 1; half /= 2) {
    for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return sums[0];
}

void Orthogonal(const Draws& draws, const Shape& shape, double gain,
                float* out) {
  const int64_t rows = shape[0];
  const int64_t cols = NumElements(shape) / rows;
  const int64_t count = std::min(rows, cols);
  const int64_t length = std::max(rows, cols);
  std::vector<double> vectors(static_cast<size_t>(count * length));
  ForEachNormal(draws, count * length,
                [&](int64_t e, double z) { vectors[e] = z; });
  // A random matrix is so far from singular that one pass leaves errors far
  // below those of float.
  for (int64_t i = 0; i < count; ++i) {
    double* own = &vectors[i * length];
    for (int64_t j = 0; j < i; ++j) {
      const double* other = &vectors[j * length];
      const double part = Dot(other, own, length);
      for (int64_t k = 0; k < length; ++k) own[k] -= part * other[k];
    }
    const double norm = std::sqrt(Dot(own, own, length));
    for (int64_t k = 0; k < length; ++k) own[k] /= norm;
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const int64_t from =
          rows <= cols ? row * length + col : col * length + row;
      out[row * cols + col] = static_cast<float>(gain * vectors[from]);
    }
  }
}

}  // namespace

Tensor InitialValue(const Layout& layout, int index, uint64_t seed) {
  const Parameter& parameter = layout.parameters[index];
  const Initializer& init = parameter.init;
  const Draws draws(seed, index);
  Tensor value = Tensor::Zeros(DType::kFloat32, parameter.shape);
  float* out = value.data<float>();
  const int64_t size = value.size();
  switch (init.kind) {
    case Initializer::Kind::kConstant:
      std::fill_n(out, size, static_cast<float>(init.value));
      break;
    case Initializer::Kind::kUniform: {
      const float bound = static_cast<float>(init.bound);
      ForEachDraw(draws, size, [&](int64_t e, uint32_t draw) {
        // 2 u - 1 is exact, so the product is rounded once and stays within
        // the bound.
        out[e] = (2 * UniformFloat(draw) - 1) * bound;
      });
      break;
    }
    case Initializer::Kind::kUniformRange:
      ForEachDraw(draws, size, [&](int64_t e, uint32_t draw) {
        out[e] = static_cast<float>(init.min + (init.max - init.min) *
                                                   double{UniformFloat(draw)});
      });
      break;
    case Initializer::Kind::kNormal:
      ForEachNormal(draws, size, [&](int64_t e, double z) {
        out[e] = static_cast<float>(init.mean + init.std * z);
      });
      break;
    case Initializer::Kind::kTruncNormal: {
      const TruncatedNormal distribution(init);
      for (int64_t e = 0; e < size; ++e) {
        out[e] = static_cast<float>(distribution.Draw(draws, e));
      }
      break;
    }
    case Initializer::Kind::kOrthogonal:
      Orthogonal(draws, parameter.shape, init.gain, out);
      break;
  }
  return value;
}

}  // namespace modelbatch
