#include "modelbatch/model/initialize.h"

#include <algorithm>

#include "modelbatch/util/philox.h"

namespace modelbatch {

Tensor InitialValue(const Layout& layout, int index, uint64_t seed) {
  const Parameter& parameter = layout.parameters[index];
  const Initializer& init = parameter.init;
  Tensor value = Tensor::Zeros(DType::kFloat32, parameter.shape);
  float* out = value.data<float>();
  const int64_t size = value.size();
  switch (init.kind) {
    case Initializer::Kind::kConstant:
      std::fill_n(out, size, static_cast<float>(init.value));
      break;
    case Initializer::Kind::kUniform: {
      const float bound = static_cast<float>(init.bound);
      for (int64_t e = 0; e < size; e += 4) {
        const auto block = PhiloxBlock(seed, RandomPurpose::kInitialize,
                                       static_cast<uint32_t>(index), 0,
                                       static_cast<uint32_t>(e / 4));
        for (int64_t j = 0; j < std::min<int64_t>(4, size - e); ++j) {
          // 2 u - 1 is exact, so the product is rounded once and stays within
          // the bound.
          out[e + j] = (2 * UniformFloat(block[j]) - 1) * bound;
        }
      }
      break;
    }
  }
  return value;
}

}  // namespace modelbatch
