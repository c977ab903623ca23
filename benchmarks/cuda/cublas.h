// cuBLAS, found when the program runs: this machine's, or that of its PyTorch
// (LD_LIBRARY_PATH). Nothing is linked and no header is needed.
#ifndef BENCHMARKS_CUDA_CUBLAS_H_
#define BENCHMARKS_CUDA_CUBLAS_H_

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmarks/cuda/gemm_case.h"

namespace modelbatch::benchmarks {

class Cublas {
 public:
  // Unavailable, with the reason, where there is none.
  static absl::StatusOr<std::unique_ptr<Cublas>> Open(cudaStream_t stream);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  // "13.1.0": as it counts itself.
  std::string version() const;

  // cublasGemmStridedBatchedEx: of models of one size.
  absl::Status Strided(const GemmCase& gemm, const GemmGroup& group,
                       const void* a, const void* b, void* c) const;

  // cublasGemmGroupedBatchedEx, a group for each size; the arrays of pointers
  // are on the device. Create it before what is timed.
  class Grouped {
   public:
    static absl::StatusOr<Grouped> Create(const Cublas* cublas,
                                          const GemmCase& gemm,
                                          const GemmGroup& group, const void* a,
                                          const void* b, void* c);
    absl::Status Run() const;

   private:
    struct Free {
      void operator()(void* memory) const { cudaFree(memory); }
    };
    const Cublas* cublas_ = nullptr;
    const Precision* precision_ = nullptr;
    std::vector<int> trans_a_, trans_b_, m_, n_, k_, lda_, ldb_, ldc_, sizes_;
    std::vector<float> ones_, zeros_;
    int models_ = 0;
    // First BLAS's a of all models, then b, then c.
    std::unique_ptr<const void*, Free> pointers_;
  };

 private:
  struct Functions;
  Cublas() = default;

  std::unique_ptr<Functions> functions_;
  void* handle_ = nullptr;
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_CUBLAS_H_
