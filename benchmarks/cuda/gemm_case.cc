#include "benchmarks/cuda/gemm_case.h"

#include <random>

#include "absl/strings/str_cat.h"

namespace modelbatch::benchmarks {
namespace {

using cuda::Product;

const char* NameOf(Product product) {
  switch (product) {
    case Product::kForward:
      return "forward";
    case Product::kInputGradient:
      return "input_gradient";
    case Product::kWeightGradient:
      return "weight_gradient";
  }
  return "";
}

}  // namespace

std::string GemmCase::Name() const {
  return absl::StrCat(NameOf(product), "/", precision->name, "/width:", width,
                      "/rows:", rows, "/models:", models,
                      ragged ? "/ragged" : "/uniform");
}

GemmGroup MakeGroup(const GemmCase& gemm) {
  std::mt19937 random(7);
  GemmGroup group;
  for (int i = 0; i < gemm.models; ++i) {
    int64_t width = gemm.width, rows = gemm.rows;
    if (gemm.ragged) {
      // Multiples of 8, as tensor cores want them.
      width = gemm.width / 4 * (2 + random() % 4) / 8 * 8;
      rows = gemm.rows / 2 + static_cast<int64_t>(random() % gemm.rows);
    }
    GemmPlace place;
    const bool weights = gemm.product == Product::kWeightGradient;
    place.m = weights ? width : rows;
    place.n = width;
    place.k = weights ? rows : width;
    place.a = group.a_size;
    place.b = group.b_size;
    place.c = group.c_size;
    group.a_size += place.m * place.k;
    group.b_size += place.k * place.n;
    group.c_size += place.m * place.n;
    group.models.push_back(place);
  }
  return group;
}

double GemmGroup::Flops() const {
  double flops = 0;
  for (const GemmPlace& p : models) {
    flops += 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) *
             static_cast<double>(p.k);
  }
  return flops;
}

double GemmGroup::Bytes(const Precision& precision) const {
  return static_cast<double>(precision.bytes()) *
         static_cast<double>(a_size + b_size + c_size);
}

std::vector<GemmCase> GemmCases(double most_bytes) {
  std::vector<GemmCase> cases;
  for (const Precision& precision : Precisions()) {
    for (const Product product : {Product::kForward, Product::kInputGradient,
                                  Product::kWeightGradient}) {
      for (const int64_t width : {64, 128, 256, 512, 1024}) {
        for (const int64_t rows : {32, 128, 512}) {
          for (const int models : {8, 64, 256, 1024}) {
            for (const bool ragged : {false, true}) {
              // Three mixes are enough to see what raggedness costs.
              if (ragged && (rows != 128 || models != 256)) continue;
              const GemmCase gemm = {product, &precision, width,
                                     rows,    models,     ragged};
              if (MakeGroup(gemm).Bytes(precision) > most_bytes) continue;
              cases.push_back(gemm);
            }
          }
        }
      }
    }
  }
  return cases;
}

}  // namespace modelbatch::benchmarks
