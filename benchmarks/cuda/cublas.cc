#include "benchmarks/cuda/cublas.h"

#include <dlfcn.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "benchmarks/cuda/column_major.h"

namespace modelbatch::benchmarks {
namespace {

constexpr int kNoTranspose = 0, kTranspose = 1;  // cublasOperation_t
constexpr int kDefaultAlgorithm = -1;            // cublasGemmAlgo_t

absl::Status ToStatus(int code, const char* call) {
  if (code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(call, " gives error ", code));
}

absl::Status ToStatus(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(call, ": ", cudaGetErrorString(error)));
}

int Operation(bool transpose) { return transpose ? kTranspose : kNoTranspose; }

}  // namespace

// cublas_api.h's declarations; its enums are ints.
struct Cublas::Functions {
  int (*create)(void**);
  int (*destroy)(void*);
  int (*set_stream)(void*, cudaStream_t);
  int (*get_version)(void*, int*);
  int (*strided)(void*, int, int, int, int, int, const void*, const void*, int,
                 int, long long, const void*, int, int, long long, const void*,
                 void*, int, int, long long, int, int, int);
  int (*grouped)(void*, const int*, const int*, const int*, const int*,
                 const int*, const void*, const void* const*, int, const int*,
                 const void* const*, int, const int*, const void*, void* const*,
                 int, const int*, int, const int*, int);
};

absl::StatusOr<std::unique_ptr<Cublas>> Cublas::Open(cudaStream_t stream) {
  void* library = nullptr;
  for (const char* const name : {"libcublas.so.13", "libcublas.so.12"}) {
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
  }
  if (library == nullptr) return absl::UnavailableError(dlerror());
  auto functions = std::make_unique<Functions>();
  const auto find = [library](const char* name, auto* function) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(
        dlsym(library, name));
    return *function != nullptr;
  };
  if (!find("cublasCreate_v2", &functions->create) ||
      !find("cublasDestroy_v2", &functions->destroy) ||
      !find("cublasSetStream_v2", &functions->set_stream) ||
      !find("cublasGetVersion_v2", &functions->get_version) ||
      !find("cublasGemmStridedBatchedEx", &functions->strided) ||
      !find("cublasGemmGroupedBatchedEx", &functions->grouped)) {
    return absl::UnavailableError(dlerror());
  }
  auto cublas = std::unique_ptr<Cublas>(new Cublas);
  cublas->functions_ = std::move(functions);
  absl::Status status =
      ToStatus(cublas->functions_->create(&cublas->handle_), "cublasCreate");
  status.Update(
      ToStatus(cublas->functions_->set_stream(cublas->handle_, stream),
               "cublasSetStream"));
  if (!status.ok()) return status;
  return cublas;
}

Cublas::~Cublas() {
  if (handle_ != nullptr) functions_->destroy(handle_);
}

std::string Cublas::version() const {
  int number = 0;
  functions_->get_version(handle_, &number);
  return absl::StrCat(number / 10000, ".", number / 100 % 100, ".",
                      number % 100);
}

absl::Status Cublas::Strided(const GemmCase& gemm, const GemmGroup& group,
                             const void* a, const void* b, void* c) const {
  if (gemm.ragged) {
    return absl::InvalidArgumentError(
        "cublasGemmStridedBatchedEx wants models of one size");
  }
  const GemmPlace& place = group.models[0];
  const ColumnMajor blas = ToColumnMajor(gemm.product, place);
  const float one = 1, zero = 0;
  const int type = gemm.precision->cublas_type;
  return ToStatus(
      functions_->strided(handle_, Operation(blas.transpose_a),
                          Operation(blas.transpose_b), blas.m, blas.n, blas.k,
                          &one, b, type, blas.lda, place.k * place.n, a, type,
                          blas.ldb, place.m * place.k, &zero, c, type, blas.ldc,
                          place.m * place.n, gemm.models,
                          gemm.precision->cublas_compute, kDefaultAlgorithm),
      "cublasGemmStridedBatchedEx");
}

absl::StatusOr<Cublas::Grouped> Cublas::Grouped::Create(
    const Cublas* cublas, const GemmCase& gemm, const GemmGroup& group,
    const void* a, const void* b, void* c) {
  Grouped grouped;
  grouped.cublas_ = cublas;
  grouped.precision_ = gemm.precision;
  grouped.models_ = static_cast<int>(group.models.size());
  // Those of one size beside each other.
  std::vector<int> order(group.models.size());
  std::iota(order.begin(), order.end(), 0);
  const auto sizes = [&](int i) {
    const GemmPlace& p = group.models[i];
    return std::make_tuple(p.m, p.n, p.k);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int x, int y) { return sizes(x) < sizes(y); });
  const int64_t bytes = gemm.precision->bytes();
  std::vector<const void*> first, second, result;
  for (size_t i = 0; i < order.size(); ++i) {
    const GemmPlace& place = group.models[order[i]];
    first.push_back(static_cast<const char*>(b) + place.b * bytes);
    second.push_back(static_cast<const char*>(a) + place.a * bytes);
    result.push_back(static_cast<char*>(c) + place.c * bytes);
    if (i > 0 && sizes(order[i]) == sizes(order[i - 1])) {
      ++grouped.sizes_.back();
      continue;
    }
    const ColumnMajor blas = ToColumnMajor(gemm.product, place);
    grouped.trans_a_.push_back(Operation(blas.transpose_a));
    grouped.trans_b_.push_back(Operation(blas.transpose_b));
    grouped.m_.push_back(blas.m);
    grouped.n_.push_back(blas.n);
    grouped.k_.push_back(blas.k);
    grouped.lda_.push_back(blas.lda);
    grouped.ldb_.push_back(blas.ldb);
    grouped.ldc_.push_back(blas.ldc);
    grouped.sizes_.push_back(1);
  }
  grouped.ones_.assign(grouped.sizes_.size(), 1);
  grouped.zeros_.assign(grouped.sizes_.size(), 0);
  std::vector<const void*> pointers = first;
  pointers.insert(pointers.end(), second.begin(), second.end());
  pointers.insert(pointers.end(), result.begin(), result.end());
  void* memory = nullptr;
  const size_t size = pointers.size() * sizeof(void*);
  absl::Status status = ToStatus(cudaMalloc(&memory, size), "cudaMalloc");
  if (!status.ok()) return status;
  grouped.pointers_.reset(static_cast<const void**>(memory));
  status = ToStatus(
      cudaMemcpy(memory, pointers.data(), size, cudaMemcpyHostToDevice),
      "cudaMemcpy");
  if (!status.ok()) return status;
  return grouped;
}

absl::Status Cublas::Grouped::Run() const {
  const void** const first = pointers_.get();
  const void** const second = first + models_;
  void** const result = const_cast<void**>(second + models_);
  const int type = precision_->cublas_type;
  return ToStatus(
      cublas_->functions_->grouped(
          cublas_->handle_, trans_a_.data(), trans_b_.data(), m_.data(),
          n_.data(), k_.data(), ones_.data(), first, type, lda_.data(), second,
          type, ldb_.data(), zeros_.data(), result, type, ldc_.data(),
          static_cast<int>(sizes_.size()), sizes_.data(),
          precision_->cublas_compute),
      "cublasGemmGroupedBatchedEx");
}

}  // namespace modelbatch::benchmarks
