#include "benchmarks/compare/limits.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "benchmarks/compare/libtorch_trainer.h"
#include "benchmarks/fma_loop.h"

namespace modelbatch::benchmarks {
namespace {

constexpr int64_t kSgemmSize = 1024;
constexpr double kSgemmFlops = 2.0 * kSgemmSize * kSgemmSize * kSgemmSize;
constexpr int kFmaRounds = 500;

// Work without weights.
class Work : public Trainer {
 public:
  explicit Work(std::function<void()> step) : step_(std::move(step)) {}
  void Reset() override {}
  void Run(int steps) override {
    for (int step = 0; step < steps; ++step) step_();
  }
  void CopyWeights(float*) override {}

 private:
  const std::function<void()> step_;
};

// In vectors as wide as the CPU has; elements stay near 1.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
__attribute__((optimize("O3"))) void
UpdateInPlace(int64_t count, float* __restrict p, float* __restrict m,
              float* __restrict v) {
  for (int64_t e = 0; e < count; ++e) {
    m[e] = m[e] * 0.875f + 0.125f;
    v[e] = v[e] * 0.75f + 0.25f;
    p[e] = p[e] * 0.5f + (m[e] + v[e]) * 0.25f;
  }
}

using CblasSgemm = void (*)(int order, int trans_a, int trans_b, int m, int n,
                            int k, float alpha, const float* a, int lda,
                            const float* b, int ldb, float beta, float* c,
                            int ldc);

absl::StatusOr<std::unique_ptr<Trainer>> MakeOpenBlas() {
  // By name, and with its own symbols first: LibTorch, which this program
  // links, exports a BLAS of its own.
  void* const library =
      dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (library == nullptr) return absl::UnimplementedError(dlerror());
  const auto sgemm =
      reinterpret_cast<CblasSgemm>(dlsym(library, "cblas_sgemm"));
  const auto set_threads = reinterpret_cast<void (*)(int)>(
      dlsym(library, "openblas_set_num_threads"));
  if (sgemm == nullptr || set_threads == nullptr) {
    return absl::UnimplementedError(dlerror());
  }
  set_threads(1);
  std::vector<float> a(kSgemmSize * kSgemmSize, 0.5f), b = a, c = a;
  return std::make_unique<Work>([sgemm, a, b, c]() mutable {
    constexpr int kRowMajor = 101, kNoTrans = 111, n = kSgemmSize;
    sgemm(kRowMajor, kNoTrans, kNoTrans, n, n, n, 1, a.data(), n, b.data(), n,
          0, c.data(), n);
  });
}

}  // namespace

LimitWork FmaWork() {
  return {RunFmaLoop(kFmaRounds),
          []() -> absl::StatusOr<std::unique_ptr<Trainer>> {
            if (RunFmaLoop(1) == 0) {
              return absl::UnimplementedError("no FMA loop for this CPU");
            }
            return std::make_unique<Work>([] { RunFmaLoop(kFmaRounds); });
          }};
}

LimitWork OpenBlasWork() { return {kSgemmFlops, MakeOpenBlas}; }

LimitWork LibTorchWork() {
  return {kSgemmFlops, [] { return MakeLibTorchSgemm(kSgemmSize); }};
}

LimitWork UpdateWork(int64_t parameters) {
  return {kUpdateBytesPerParameter * static_cast<double>(parameters),
          [parameters]() -> absl::StatusOr<std::unique_ptr<Trainer>> {
            std::vector<float> p(parameters, 1), m = p, v = p;
            return std::make_unique<Work>([p, m, v]() mutable {
              UpdateInPlace(static_cast<int64_t>(p.size()), p.data(), m.data(),
                            v.data());
            });
          }};
}

LimitWork CopyWork(int64_t bytes) {
  const int64_t half = bytes / 2;
  return {static_cast<double>(2 * half),
          [half]() -> absl::StatusOr<std::unique_ptr<Trainer>> {
            std::vector<char> from(half, 1), to(half);
            return std::make_unique<Work>([from, to]() mutable {
              std::memcpy(to.data(), from.data(), from.size());
              // The copy is wanted.
              asm volatile("" : : "r"(to.data()) : "memory");
            });
          }};
}

}  // namespace modelbatch::benchmarks
