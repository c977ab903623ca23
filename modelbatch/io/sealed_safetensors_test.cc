// No bit of a sealed file changes unnoticed.
#include "modelbatch/io/sealed_safetensors.h"

#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

TEST(SealedSafetensorsTest, OneChangedBitIsFound) {
  const Tensor weight = Tensor::FromVector<float>({1, -2, 0}, {3});
  const Tensor steps = Tensor::FromVector<int64_t>({7}, {});
  const std::string path = TestFolder() + "/sealed.safetensors";
  ASSERT_TRUE(WriteSealedSafetensors(path,
                                     {{"weight", &weight}, {"steps", &steps}},
                                     {{"format", "test"}, {"at", "5"}})
                  .ok());
  const auto valid = ReadSealedSafetensors(path);
  ASSERT_TRUE(valid.ok()) << valid.status();
  EXPECT_EQ(valid->tensors.at("steps").data<int64_t>()[0], 7);
  EXPECT_EQ(valid->metadata.at("at"), "5");

  const std::string bytes = *ReadFile(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      std::ofstream(path, std::ios::binary) << damaged;
      const auto read = ReadSealedSafetensors(path);
      if (!read.ok()) continue;
      // What is left is the spaces and the signs of JSON, where another byte
      // has the same meaning.
      EXPECT_EQ(read->metadata, valid->metadata) << "byte " << i;
      ASSERT_EQ(read->tensors.size(), 2) << "byte " << i;
      EXPECT_EQ(read->tensors.at("weight").data<float>()[1], -2);
      EXPECT_LT(i, bytes.size() - 20) << "of the tensors";
    }
  }
}

// Of "at\0" "5\0" "t\0" "int64 []\0" and eight bytes, by Python's zlib.
TEST(SealedSafetensorsTest, TheChecksumIsZlibs) {
  const Tensor value = Tensor::FromVector<int64_t>({7}, {});
  const std::string path = TestFolder() + "/known.safetensors";
  ASSERT_TRUE(
      WriteSealedSafetensors(path, {{"t", &value}}, {{"at", "5"}}).ok());
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata.at("checksum"), "2aa39f88");
}

TEST(SealedSafetensorsTest, AFileWithoutAChecksumIsNone) {
  const Tensor value = Tensor::FromVector<int64_t>({7}, {});
  const std::string path = TestFolder() + "/bare.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, {{"t", &value}}, {{"at", "5"}}).ok());
  const auto file = ReadSealedSafetensors(path);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(file.status().message(),
            path + ": metadata \"checksum\" is missing");
}

}  // namespace
}  // namespace modelbatch
