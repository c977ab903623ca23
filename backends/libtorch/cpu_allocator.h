// Keeps the large tensors that a step frees for the next step. Without it glibc
// returns them to the kernel every time, and fetching them again, page by page,
// is a quarter of a small population's step.
#ifndef BACKENDS_LIBTORCH_CPU_ALLOCATOR_H_
#define BACKENDS_LIBTORCH_CPU_ALLOCATOR_H_

#include <cstddef>

namespace modelbatch::libtorch {

// Freed memory that is kept, at most, in the whole process.
inline constexpr size_t kMaxKeptBytes = size_t{256} << 20;

// Makes all of LibTorch in this process allocate so, from now on. Idempotent,
// thread-safe. Tensors made before are freed as they were allocated.
void InstallCpuAllocator();

// Freed memory kept now.
size_t KeptBytes();

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_CPU_ALLOCATOR_H_
