// What formulas, and members of classes in them, are declared with: nvcc
// compiles them for the device as well.
#ifndef BACKENDS_CPU_HOST_DEVICE_H_
#define BACKENDS_CPU_HOST_DEVICE_H_

#if defined(__CUDACC__)
#define MODELBATCH_MEMBER __host__ __device__
#define MODELBATCH_INLINE __host__ __device__ inline
#else
#define MODELBATCH_MEMBER
#define MODELBATCH_INLINE inline
#endif

#endif  // BACKENDS_CPU_HOST_DEVICE_H_
