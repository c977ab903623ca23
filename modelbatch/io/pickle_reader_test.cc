#include "modelbatch/io/pickle_reader.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using Kind = PickleValue::Kind;

template <size_t size>
std::string Bytes(const char (&text)[size]) {
  return std::string(text, size - 1);
}

std::string ErrorOf(const std::string& bytes) {
  const auto pickle = ReadPickle(bytes, {"m.f"});
  return pickle.ok() ? "no error" : std::string(pickle.status().message());
}

// What pickle.dumps([-1, 65536, 1 << 40, -(1 << 40), 0.1, None, True, "ä",
// (1, 2), {"a": 300}], 2) gives in Python 3.11.
TEST(ReadPickleTest, PythonsPickle) {
  const auto pickle = ReadPickle(
      Bytes("\x80\x02]q\x00(J\xff\xff\xff\xffJ\x00\x00\x01\x00\x8a\x06\x00\x00"
            "\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xffG?\xb9\x99\x99\x99"
            "\x99\x99\x9aN\x88X\x02\x00\x00\x00\xc3\xa4q\x01K\x01K\x02\x86q\x02"
            "}q\x03X\x01\x00\x00\x00"
            "aq\x04M,\x01se."),
      {});
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  const PickleValue& list = *pickle->root;
  ASSERT_EQ(list.kind, Kind::kList);
  ASSERT_EQ(list.items.size(), 10u);
  EXPECT_EQ(list.items[0]->integer, -1);
  EXPECT_EQ(list.items[1]->integer, 65536);
  EXPECT_EQ(list.items[2]->integer, int64_t{1} << 40);
  EXPECT_EQ(list.items[3]->integer, -(int64_t{1} << 40));
  EXPECT_EQ(list.items[4]->number, 0.1);
  EXPECT_EQ(list.items[5]->kind, Kind::kNone);
  EXPECT_EQ(list.items[6]->kind, Kind::kBool);
  EXPECT_EQ(list.items[6]->integer, 1);
  EXPECT_EQ(list.items[7]->text, "\xc3\xa4");
  ASSERT_EQ(list.items[8]->kind, Kind::kTuple);
  EXPECT_EQ(list.items[8]->items[1]->integer, 2);
  ASSERT_EQ(list.items[9]->kind, Kind::kDict);
  EXPECT_EQ(list.items[9]->items[0]->text, "a");
  EXPECT_EQ(list.items[9]->items[1]->integer, 300);
}

// A call is described, not made.
TEST(ReadPickleTest, CallsAreValues) {
  const auto pickle = ReadPickle(Bytes("\x80\x02"
                                       "cm\nf\n(K\x01tR."),
                                 {"m.f"});
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_TRUE(pickle->root->IsCallOf("m.f"));
  EXPECT_EQ(pickle->root->items[1]->items[0]->integer, 1);
}

TEST(ReadPickleTest, ContainerOfItself) {
  const auto pickle = ReadPickle(Bytes("\x80\x02]q\x00h\x00"
                                       "a."),
                                 {});
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_EQ(pickle->root->items[0], pickle->root);
}

TEST(ReadPickleTest, RefusesWhatCouldRun) {
  EXPECT_EQ(ErrorOf(Bytes("\x80\x02"
                          "cos\nsystem\n(X\x04\x00\x00\x00truetR.")),
            "pickle, byte 2: the global os.system is not allowed");
  EXPECT_EQ(ErrorOf(Bytes("\x80\x02(X\x02\x00\x00\x00lsios\nsystem\n.")),
            "pickle, byte 10: the opcode INST is not allowed");
  EXPECT_THAT(ErrorOf(Bytes("\x80\x02"
                            "cm\nf\n)\x81.")),
              HasSubstr("the opcode NEWOBJ is not allowed"));
  EXPECT_THAT(ErrorOf(Bytes("\x80\x02\x8c\x02os\x8c\x06system\x93.")),
              HasSubstr("the opcode SHORT_BINUNICODE is not allowed"));
  EXPECT_THAT(ErrorOf(Bytes("\x80\x04N.")), HasSubstr("protocol 4"));
  EXPECT_THAT(ErrorOf(Bytes("\x80\x02"
                            "cm\nf\n)R}b.")),
              HasSubstr("BUILD sets a dict of 0 on m.f(...)"));
  EXPECT_THAT(ErrorOf(Bytes("\x80\x02"
                            "ccollections\nOrderedDict\n]\x85R.")),
              HasSubstr("OrderedDict is called with arguments"));
}

// Each would reach below its values, or go on for ever, in a careless machine.
TEST(ReadPickleTest, RefusesDamage) {
  for (const std::string& bytes : {Bytes(""),
                                   Bytes("N."),
                                   Bytes("\x80"),
                                   Bytes("\x80\x02"),
                                   Bytes("\x80\x02."),
                                   Bytes("\x80\x02N"),
                                   Bytes("\x80\x02NN."),
                                   Bytes("\x80\x02N.N"),
                                   Bytes("\x80\x02\x85."),
                                   Bytes("\x80\x02N\x86."),
                                   Bytes("\x80\x02NN(\x86u."),
                                   Bytes("\x80\x02t."),
                                   Bytes("\x80\x02u."),
                                   Bytes("\x80\x02"
                                         "a."),
                                   Bytes("\x80\x02s."),
                                   Bytes("\x80\x02}(Nu."),
                                   Bytes("\x80\x02](Nu."),
                                   Bytes("\x80\x02N(s."),
                                   Bytes("\x80\x02}(NNs."),
                                   Bytes("\x80\x02(N."),
                                   Bytes("\x80\x02q\x00."),
                                   Bytes("\x80\x02N(q\x00."),
                                   Bytes("\x80\x02h\x00."),
                                   Bytes("\x80\x02R."),
                                   Bytes("\x80\x02NNR."),
                                   Bytes("\x80\x02NR."),
                                   Bytes("\x80\x02"
                                         "b."),
                                   Bytes("\x80\x02Nb."),
                                   Bytes("\x80\x02Q."),
                                   Bytes("\x80\x02"
                                         "cos"),
                                   Bytes("\x80\x02"
                                         "cos\nsystem"),
                                   Bytes("\x80\x02X\x05\x00\x00\x00text."),
                                   Bytes("\x80\x02X\xff\xff\xff\xff."),
                                   Bytes("\x80\x02X\x01\x00\x00\x00\xff."),
                                   Bytes("\x80\x02J\x00\x00"),
                                   Bytes("\x80\x02G\x00"),
                                   Bytes("\x80\x02\x8a\x09"),
                                   Bytes("\x80\x02\x8a\x02\x01")}) {
    EXPECT_FALSE(ReadPickle(bytes, {}).ok()) << testing::PrintToString(bytes);
  }
  EXPECT_THAT(ErrorOf(std::string("\x80\x02") + std::string(100'000, '(')),
              HasSubstr("nested more than 256 deep"));
  EXPECT_THAT(ErrorOf(Bytes("\x80\x02Nr\xff\xff\xff\xff.")),
              HasSubstr("memo entry 4294967295"));
  EXPECT_THAT(ErrorOf("\x80\x02"
                      "c" +
                      std::string(1000, 'x') + "\ny\n."),
              HasSubstr("does not end"));
}

}  // namespace
}  // namespace modelbatch
