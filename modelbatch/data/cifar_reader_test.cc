#include "modelbatch/data/cifar_reader.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

// Labels, then the planes: red all `fill`, green 1 more, blue 2 more.
std::string Record(const std::string& labels, int fill) {
  std::string record = labels;
  for (int plane = 0; plane < 3; ++plane) {
    record += std::string(1024, static_cast<char>(fill + plane));
  }
  return record;
}

std::string Write(const char* name, const std::string& bytes) {
  const std::string path = TestFolder() + "/" + name;
  EXPECT_TRUE(WriteFileAtomically(path, bytes).ok());
  return path;
}

TEST(ReadCifarTest, FilesFollowOneAnother) {
  const std::string first =
      Write("1.bin", Record("\x03", 10) + Record("\x01", 20));
  const std::string second = Write("2.bin", Record("\x09", 253));
  const auto table = ReadCifar({first, second}, {CifarLabels::kCifar10, 2});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->features.shape(), (Shape{3, 3, 32, 32}));
  EXPECT_EQ(table->targets.shape(), (Shape{3}));
  const int64_t* labels = table->targets.data<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(labels, labels + 3),
            (std::vector<int64_t>{3, 1, 9}));
  EXPECT_EQ(table->num_classes, 10);
  const float* pixels = table->features.data<float>();
  EXPECT_EQ(pixels[0], 20);
  EXPECT_EQ(pixels[1023], 20);
  EXPECT_EQ(pixels[1024], 22);
  EXPECT_EQ(pixels[3072], 40);
  EXPECT_EQ(pixels[3 * 3072 - 1], 510);
  EXPECT_EQ(table->where(1), first + ": record 1");
  EXPECT_EQ(table->where(2), second + ": record 0");
  EXPECT_EQ(CheckClasses(*table, 5).message(),
            second +
                ": record 0: label 9 is out of range, expected 0 to 4: "
                "the model has 5 outputs");
}

TEST(ReadCifarTest, Cifar100HasTwoLabels) {
  const std::string path = Write("100.bin", Record("\x13\x63", 1));
  const auto coarse = ReadCifar({path}, {CifarLabels::kCifar100Coarse, 1});
  const auto fine = ReadCifar({path}, {CifarLabels::kCifar100Fine, 1});
  ASSERT_TRUE(coarse.ok()) << coarse.status();
  ASSERT_TRUE(fine.ok()) << fine.status();
  EXPECT_EQ(coarse->targets.data<int64_t>()[0], 19);
  EXPECT_EQ(fine->targets.data<int64_t>()[0], 99);
  EXPECT_EQ(fine->features.data<float>()[3071], 3);
}

TEST(ReadCifarTest, ErrorsNameFileAndRecord) {
  const auto error = [](const std::string& bytes, CifarLabels labels) {
    const std::string path = Write("bad.bin", bytes);
    const auto table = ReadCifar({path}, {labels, 1});
    if (table.ok()) return std::string("no error");
    return std::string(table.status().message())
        .substr(path.size() - std::string("bad.bin").size());
  };
  const std::string good = Record("\x03", 1);
  EXPECT_EQ(error(good + Record("\x0a", 1), CifarLabels::kCifar10),
            "bad.bin: record 1, byte 3073: label 10 is out of range, expected "
            "0 to 9");
  EXPECT_EQ(error(Record("\x01\x64", 1), CifarLabels::kCifar100Fine),
            "bad.bin: record 0, byte 1: label 100 is out of range, expected 0 "
            "to 99");
  EXPECT_EQ(error(Record("\x14\x01", 1), CifarLabels::kCifar100Coarse),
            "bad.bin: record 0, byte 0: label 20 is out of range, expected 0 "
            "to 19");
  EXPECT_EQ(error(good.substr(1), CifarLabels::kCifar10),
            "bad.bin: not a valid CIFAR file: it has 3072 bytes, expected "
            "records of 3073");
  EXPECT_EQ(error(good + "x", CifarLabels::kCifar10),
            "bad.bin: not a valid CIFAR file: it has 3074 bytes, expected "
            "records of 3073");
  EXPECT_EQ(error("", CifarLabels::kCifar10),
            "bad.bin: not a valid CIFAR file: it has 0 bytes, expected "
            "records of 3073");
  EXPECT_EQ(ReadCifar({"/nowhere/1.bin"}, {}).status().message(),
            "cannot read /nowhere/1.bin: No such file or directory");
  EXPECT_FALSE(ReadCifar({}, {}).ok());
}

}  // namespace
}  // namespace modelbatch
