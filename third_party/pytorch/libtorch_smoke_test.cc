// Shows that LibTorch's headers match its libraries and that a program finds
// them when it runs.

#include <ATen/Functions.h>
#include <gtest/gtest.h>

namespace {

TEST(LibTorch, MultipliesAndDifferentiates) {
  const at::Tensor a =
      at::arange(6, at::kFloat).reshape({2, 3}).requires_grad_();
  const at::Tensor product = at::mm(a, a.t());
  EXPECT_EQ(product.sizes(), at::IntArrayRef({2, 2}));
  EXPECT_EQ(product[1][1].item<float>(), 9 + 16 + 25);
  product.trace().backward();  // the gradient of sum(a * a)
  EXPECT_TRUE(at::equal(a.grad(), a.detach().mul(2)));
}

}  // namespace
