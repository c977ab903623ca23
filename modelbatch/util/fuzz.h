// Damages the bytes of a valid file in every way that chance finds, for tests
// of readers: whatever they are given they return a Status, without a crash and
// without a huge allocation.
//
//   MemoryLimit limit(512 << 20);
//   Fuzz(valid, 2000, [](const std::string& bytes) {
//     return ParseIdx(bytes, "fuzz").status();
//   });
//
// The draws are those of a fixed seed: a failure comes again.
#ifndef MODELBATCH_UTIL_FUZZ_H_
#define MODELBATCH_UTIL_FUZZ_H_

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {

// While it lives the process can take so many bytes more than it has: a larger
// allocation throws, which ends the test.
class MemoryLimit {
 public:
  explicit MemoryLimit(uint64_t bytes) {
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(pages) * 4096 + bytes;
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_;
};

namespace fuzz_internal {

// Draws of one damage.
class Draws {
 public:
  explicit Draws(int number) : number_(static_cast<uint64_t>(number)) {}
  // [0, limit); 0 for a limit of 0.
  size_t Below(size_t limit) {
    const uint64_t draw =
        PhiloxDraw(20261125, RandomPurpose::kSweep, 0, number_, next_++);
    return limit == 0 ? 0 : static_cast<size_t>(draw % limit);
  }

 private:
  uint64_t number_;
  uint64_t next_ = 0;
};

inline std::string Damaged(const std::string& valid, int number) {
  Draws draws(number);
  std::string bytes = valid;
  // Headers are where sizes are: half of the damage is near the beginning.
  const auto place = [&] {
    const size_t near = bytes.size() < 256 ? bytes.size() : 256;
    return draws.Below(draws.Below(2) == 0 ? near : bytes.size());
  };
  const size_t times = 1 + draws.Below(4);
  for (size_t i = 0; i < times && !bytes.empty(); ++i) {
    switch (draws.Below(7)) {
      case 0:  // truncated
        bytes.resize(place());
        break;
      case 1:  // a bit
        bytes[place()] ^= static_cast<char>(1u << draws.Below(8));
        break;
      case 2:  // a byte
        bytes[place()] = static_cast<char>(draws.Below(256));
        break;
      case 3:  // the largest and the smallest of sizes
        for (size_t at = place(), n = 1 + draws.Below(8);
             at < bytes.size() && n > 0; ++at, --n) {
          bytes[at] = static_cast<char>(i % 2 == 0 ? 0xff : 0);
        }
        break;
      case 4:  // a piece is gone
        bytes.erase(place(), 1 + draws.Below(16));
        break;
      case 5: {  // a piece is there twice
        const size_t at = place();
        bytes.insert(at, bytes.substr(place(), 1 + draws.Below(64)));
        break;
      }
      default:  // digits of a text grow
        bytes.insert(place(), std::string(1 + draws.Below(4), '9'));
    }
  }
  return bytes;
}

}  // namespace fuzz_internal

// Calls `read` with the valid bytes, which it must take, and with `count`
// damaged versions, of which it must refuse some.
inline void Fuzz(const std::string& valid, int count,
                 const std::function<absl::Status(const std::string&)>& read) {
  const absl::Status status = read(valid);
  ASSERT_TRUE(status.ok()) << status;
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    const absl::Status result = read(fuzz_internal::Damaged(valid, i));
    if (result.ok()) continue;
    ++refused;
    EXPECT_FALSE(result.message().empty()) << "damage " << i;
    EXPECT_NE(result.code(), absl::StatusCode::kInternal)
        << "damage " << i << ": " << result;
  }
  EXPECT_GT(refused, 0);
}

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_FUZZ_H_
