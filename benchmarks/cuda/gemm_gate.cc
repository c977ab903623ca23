#include "benchmarks/cuda/gemm_gate.h"

#include <cstring>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "benchmarks/cuda/exact_data.h"

namespace modelbatch::benchmarks {
namespace {

constexpr int kModels = 8;     // that are looked at
constexpr int kElements = 16;  // of each, with the corners

absl::Status CheckElement(const GemmCase& gemm, const GemmGroup& group,
                          int model, int64_t row, int64_t col,
                          const std::function<float(int64_t)>& read) {
  const GemmPlace& place = group.models[model];
  auto expected =
      static_cast<float>(ExpectedElement(gemm.product, place, row, col));
  if (gemm.precision->element == Element::kBfloat16) {
    expected = RoundToBfloat16(expected);
  }
  const float found = read(place.c + row * place.n + col);
  if (found == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(gemm.Name(), ": model ", model,
                                          " has ", found, " at [", row, ", ",
                                          col, "], expected ", expected));
}

}  // namespace

double ExpectedElement(cuda::Product product, const GemmPlace& place,
                       int64_t row, int64_t col) {
  int64_t sum = 0;
  for (int64_t k = 0; k < place.k; ++k) {
    const int64_t a = product == cuda::Product::kWeightGradient
                          ? k * place.m + row
                          : row * place.k + k;
    const int64_t b = product == cuda::Product::kForward ? col * place.k + k
                                                         : k * place.n + col;
    sum += int64_t{ExactUnits(kSeedOfA, place.a + a)} *
           ExactUnits(kSeedOfB, place.b + b);
  }
  return static_cast<double>(sum) / (128 * 128);
}

float RoundToBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  bits += 0x7fff + ((bits >> 16) & 1);
  bits &= 0xffff0000u;
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

absl::Status CheckProduct(const GemmCase& gemm, const GemmGroup& group,
                          const std::function<float(int64_t)>& read) {
  std::mt19937_64 random(11);
  const int last = static_cast<int>(group.models.size()) - 1;
  std::set<int> models = {0, last};
  for (int i = 0; i < kModels; ++i) {
    models.insert(static_cast<int>(random() % group.models.size()));
  }
  for (const int model : models) {
    const GemmPlace& place = group.models[model];
    std::set<std::pair<int64_t, int64_t>> elements = {
        {0, 0}, {0, place.n - 1}, {place.m - 1, 0}, {place.m - 1, place.n - 1}};
    for (int i = 0; i < kElements; ++i) {
      elements.insert({static_cast<int64_t>(random() % place.m),
                       static_cast<int64_t>(random() % place.n)});
    }
    for (const auto& [row, col] : elements) {
      const absl::Status status =
          CheckElement(gemm, group, model, row, col, read);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::benchmarks
