#include "modelbatch/cli/text_table.h"

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

TEST(TextTableTest, AlignsToTheRight) {
  TextTable table({"rank", "lr"});
  table.AddRow({"1", "0.001"});
  table.AddRow({});
  table.AddRow({"10", "0.1"});
  EXPECT_EQ(table.ToString(),
            "  rank     lr\n"
            "     1  0.001\n"
            "     ...\n"
            "    10    0.1\n");
}

}  // namespace
}  // namespace modelbatch
