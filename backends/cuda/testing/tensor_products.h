// The promises of products, put to the test in fp32 and on tensor cores: every
// tile shape, any widths, rows and alignment, models without rows, against
// products in double. On the emulator (tensor_products_test.cc) or on a device
// (device_products_test.cc). What does not hold fails the test that calls.
#ifndef BACKENDS_CUDA_TESTING_TENSOR_PRODUCTS_H_
#define BACKENDS_CUDA_TESTING_TENSOR_PRODUCTS_H_

#include <functional>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/gpu.h"
#include "backends/cuda/kernels/precision.h"
#include "backends/cuda/schedule/problem.h"

namespace modelbatch::cuda::testing {

struct ProductsDevice {
  GpuFactory open;
  std::function<void(Gpu&)> check;  // after each group; may be empty
};

// Of integers that are exact in eight bits, in sums that are exact in fp32: no
// rounding hides an element at a wrong place, none too many or too few. With
// the epilogues; what lies between the matrices is left alone.
void TestIntegers(const ProductsDevice& device, Precision precision,
                  Product product);
// The two bounds of docs/arithmetic.md: by the operands that are multiplied, of
// which only the sums in fp32 are left, and by those that were given. Together
// the errors are as large as independent roundings make them.
void TestErrorBounds(const ProductsDevice& device, Precision precision,
                     Product product);
// Within a precision, a model has among others the bits that it has alone,
// whatever they are.
void TestAmongOthers(const ProductsDevice& device, Precision precision,
                     Product product);
// Every tile shape has the same sums: the widths decide which one is used, and
// may be cut differently one day.
void TestTiles(const ProductsDevice& device, Precision precision,
               Product product);

}  // namespace modelbatch::cuda::testing

#endif  // BACKENDS_CUDA_TESTING_TENSOR_PRODUCTS_H_
