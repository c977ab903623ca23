#include "modelbatch/util/fnv1a.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

uint64_t Of(const std::string& text) {
  Fnv1a hash;
  for (const char& c : text) hash.Add(&c, 1);  // in pieces
  return hash.value();
}

// The vectors of draft-eastlake-fnv.
TEST(Fnv1a, HasThePublishedValues) {
  EXPECT_EQ(Of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(Of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(Of("foobar"), 0x85944171f73967e8u);
}

}  // namespace
}  // namespace modelbatch
