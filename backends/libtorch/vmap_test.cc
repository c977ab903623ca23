#include "backends/libtorch/vmap.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "backends/libtorch/call_scope.h"
#include "modelbatch/util/logging.h"

namespace modelbatch::libtorch {
namespace {

using Tensors = std::vector<at::Tensor>;

at::Tensor Multiply(const Tensors& x) { return at::mm(x[0], x[1]); }

TEST(VmapTest, RunsOnceForAllModels) {
  const at::Tensor a = at::arange(24, at::kFloat).view({2, 3, 4});
  const at::Tensor b = at::arange(40, at::kFloat).view({2, 4, 5});
  const Value product = Vmap(2, {{a, true}, {b, true}}, Multiply);
  EXPECT_TRUE(product.stacked);
  EXPECT_TRUE(at::equal(product.tensor,
                        at::stack({at::mm(a[0], b[0]), at::mm(a[1], b[1])})));
}

TEST(VmapTest, StacksOnDimensionZeroWhenOneValueIsShared) {
  const at::Tensor a = at::arange(12, at::kFloat).view({3, 4});
  const at::Tensor b = at::arange(40, at::kFloat).view({2, 4, 5});
  const Value product = Vmap(2, {{a, false}, {b, true}}, Multiply);
  EXPECT_TRUE(product.stacked);
  EXPECT_TRUE(
      at::equal(product.tensor, at::stack({at::mm(a, b[0]), at::mm(a, b[1])})));
  EXPECT_FALSE(Vmap(2, {{a, false}, {b[0], false}}, Multiply).stacked);
}

TEST(VmapTest, AutogradWorksFromOutside) {
  const at::Tensor a = at::arange(6, at::kFloat).view({2, 3}).requires_grad_();
  const Value square = Vmap(
      2, {{a, true}}, [](const Tensors& x) { return at::mul(x[0], x[0]); });
  square.tensor.sum().backward();
  EXPECT_TRUE(at::equal(a.grad(), a.detach().mul(2)));
}

TEST(VmapTest, AnExceptionLeavesNoLevelBehind) {
  const at::Tensor a = at::ones({2, 3, 4}), b = at::ones({2, 5, 4});
  const absl::Status status = CatchTorch([&] {
    Vmap(2, {{a, true}, {b, true}}, Multiply);
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message().find('\n'), std::string::npos) << status;
  EXPECT_EQ(VmapLevel::Depth(), 0);
  EXPECT_EQ(at::mm(a[0], b[0].t()).sum().item<float>(), 60);
  EXPECT_TRUE(Vmap(2, {{a, true}}, [](const Tensors& x) {
                return at::mul(x[0], x[0]);
              }).stacked);
}

// Shows that a fallback to a loop would be counted: nll_loss has no rule.
TEST(CallScopeTest, LogsAFallbackOfVmap) {
  std::vector<std::string> messages;
  SetLogSink(LogSeverity::kWarning, [&](LogSeverity, std::string_view text) {
    messages.emplace_back(text);
  });
  {
    const CallScope scope(1);
    const at::Tensor scores = at::zeros({2, 3, 4});
    const at::Tensor classes = at::zeros({2, 3}, at::kLong);
    Vmap(2, {{scores, true}, {classes, true}}, [](const Tensors& x) {
      return at::nll_loss(at::log_softmax(x[0], -1), x[1]);
    });
  }
  SetLogSink(LogSeverity::kError, nullptr);
  ASSERT_FALSE(messages.empty());
  EXPECT_NE(messages[0].find("performance drop"), std::string::npos)
      << messages[0];
}

}  // namespace
}  // namespace modelbatch::libtorch
