#include "backends/libtorch/cpu_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace modelbatch::libtorch {
namespace {

class CpuAllocatorTest : public testing::Test {
 protected:
  void SetUp() override { InstallCpuAllocator(); }
  c10::DataPtr Allocate(size_t bytes) {
    return c10::GetCPUAllocator()->allocate(bytes);
  }
};

TEST_F(CpuAllocatorTest, BlocksAreAlignedAndLargeEnough) {
  std::vector<c10::DataPtr> blocks;
  for (size_t bytes = 1; bytes < 300000; bytes += bytes / 3 + 1) {
    blocks.push_back(Allocate(bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back().get()) % 64, 0u);
    std::memset(blocks.back().get(), 1, bytes);
  }
  EXPECT_EQ(Allocate(0).get(), nullptr);
}

TEST_F(CpuAllocatorTest, ALargeBlockIsUsedAgain) {
  const size_t before = KeptBytes();
  void* first = nullptr;
  {
    const c10::DataPtr block = Allocate(777777);
    first = block.get();
  }
  EXPECT_GE(KeptBytes(), before + 777777);
  const c10::DataPtr block = Allocate(770000);
  EXPECT_EQ(block.get(), first);
  EXPECT_EQ(KeptBytes(), before);
}

TEST_F(CpuAllocatorTest, KeepsNoMoreThanItsLimit) {
  std::vector<c10::DataPtr> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(Allocate(kMaxKeptBytes / 5));
  blocks.clear();
  EXPECT_LE(KeptBytes(), kMaxKeptBytes);
  EXPECT_GE(KeptBytes(), kMaxKeptBytes / 5);
}

TEST_F(CpuAllocatorTest, ThreadsFreeWhatOthersAllocated) {
  std::vector<c10::DataPtr> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(Allocate(40000 + 999 * i));
  std::thread thread([&] { blocks.clear(); });
  for (int i = 0; i < 1000; ++i) std::memset(Allocate(40000).get(), 0, 40000);
  thread.join();
  EXPECT_TRUE(blocks.empty());
}

}  // namespace
}  // namespace modelbatch::libtorch
