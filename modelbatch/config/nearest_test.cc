#include "modelbatch/config/nearest.h"

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

// Textbook distances.
TEST(EditDistanceTest, KnownPairs) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("", "lr"), 2);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("flaw", "lawn"), 2);
  EXPECT_EQ(EditDistance("epcohs", "epochs"), 1);  // a swap
}

TEST(NearestNameTest, SuggestsOnlyWhatIsNear) {
  EXPECT_EQ(NearestName("epcohs", {"batch_size", "epochs"}), "epochs");
  EXPECT_EQ(NearestName("Lr", {"eps", "lr"}), "lr");
  EXPECT_EQ(NearestName("zzzz", {"epochs", "lr"}), "");
  EXPECT_EQ(NearestName("z", {"a", "y"}), "");  // a letter, and another
  EXPECT_EQ(NearestName("lr", {}), "");
}

TEST(SuggestNameTest, ListsAllWhenNothingIsNear) {
  EXPECT_EQ(SuggestName("epoch", {"epochs", "lr"}),
            "; did you mean \"epochs\"?");
  EXPECT_EQ(SuggestName("zzzz", {"epochs", "lr"}),
            "; expected one of: epochs, lr");
}

}  // namespace
}  // namespace modelbatch
