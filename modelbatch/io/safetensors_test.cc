#include "modelbatch/io/safetensors.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::string TempPath(const std::string& name) {
  return TestFolder() + "/" + name;
}

// A file by hand, as the format's description says.
std::string File(std::string header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

std::string ErrorOf(const std::string& header, const std::string& data) {
  const auto file = ParseSafetensors(File(header, data), "m");
  return file.ok() ? "no error" : std::string(file.status().message());
}

TEST(SafetensorsTest, ReadsAFileWrittenByHand) {
  const std::string data("\x00\x00\x80\x3f\x00\x00\x00\x40\x07", 9);  // 1, 2, 7
  const auto file = ParseSafetensors(
      File(R"({"__metadata__":{"format":"pt"},)"
           R"("w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
           R"("n":{"dtype":"U8","shape":[],"data_offsets":[8,9]},)"
           R"("e":{"dtype":"I64","shape":[0,3],"data_offsets":[9,9]}}   )",
           data),
      "m");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata.at("format"), "pt");
  ASSERT_EQ(file->tensors.size(), 3u);
  const Tensor& w = file->tensors.at("w");
  EXPECT_EQ(w.shape(), (Shape{2, 1}));
  EXPECT_EQ(w.data<float>()[0], 1);
  EXPECT_EQ(w.data<float>()[1], 2);
  EXPECT_EQ(file->tensors.at("n").data<uint8_t>()[0], 7);
  EXPECT_EQ(file->tensors.at("e").shape(), (Shape{0, 3}));
}

// Byte for byte what the format's description says: padded to 8, wide elements
// first, then by name.
TEST(SafetensorsTest, WritesTheFormat) {
  const Tensor a = Tensor::FromVector<float>({1, 2}, {2});
  const Tensor b = Tensor::FromVector<int64_t>({3}, {});
  const Tensor c = Tensor::FromVector<uint8_t>({5, 6, 7}, {3});
  const std::string path = TempPath("format.safetensors");
  ASSERT_TRUE(
      WriteSafetensors(path, {{"c", &c}, {"b", &b}, {"a", &a}}, {{"k", "v"}})
          .ok());
  std::string header =
      R"({"__metadata__":{"k":"v"},)"
      R"("b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("c":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string data(
      "\x03\0\0\0\0\0\0\0"
      "\x00\x00\x80\x3f\x00\x00\x00\x40"
      "\x05\x06\x07",
      19);
  EXPECT_EQ(*ReadFile(path), File(header, data));
}

TEST(SafetensorsTest, RoundTrip) {
  std::vector<Tensor> tensors;
  std::vector<NamedTensor> named;
  tensors.push_back(Tensor::FromVector<float>({1.5f, -0.0f, 1e-40f}, {3}));
  tensors.push_back(Tensor::FromVector<double>({0.1}, {1, 1}));
  tensors.push_back(Tensor::FromVector<int32_t>({-5}, {}));
  tensors.push_back(Tensor::Zeros(DType::kFloat32, {0}));
  const std::vector<std::string> names = {"w.weight", "quote\" \\ \n \xC3\xA9",
                                          "", "empty"};
  for (size_t i = 0; i < names.size(); ++i) {
    named.push_back({names[i], &tensors[i]});
  }
  const std::string path = TempPath("round.safetensors");
  const std::map<std::string, std::string> metadata = {{"a", "b\"c"}};
  ASSERT_TRUE(WriteSafetensors(path, named, metadata).ok());
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata, metadata);
  ASSERT_EQ(file->tensors.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const Tensor& read = file->tensors.at(names[i]);
    EXPECT_EQ(read.dtype(), tensors[i].dtype());
    EXPECT_EQ(read.shape(), tensors[i].shape());
    EXPECT_EQ(std::memcmp(read.raw(), tensors[i].raw(), tensors[i].byte_size()),
              0);
  }
}

TEST(SafetensorsTest, WriterRefusesNames) {
  const Tensor t = Tensor::Zeros(DType::kFloat32, {1});
  const std::string path = TempPath("refused.safetensors");
  EXPECT_FALSE(WriteSafetensors(path, {{"a", &t}, {"a", &t}}, {}).ok());
  EXPECT_FALSE(WriteSafetensors(path, {{"__metadata__", &t}}, {}).ok());
  EXPECT_EQ(ReadFile(path).status().code(), absl::StatusCode::kNotFound);
}

TEST(SafetensorsTest, ErrorsNameFileAndTensor) {
  struct Case {
    const char* header;
    size_t data;
    const char* message;
  };
  const Case cases[] = {
      {"", 0, "the header does not begin with \"{\""},
      {"[]", 0, "the header does not begin with \"{\""},
      {"{", 0, "the header is not JSON"},
      {"{}", 4, "the tensors take 0 bytes, the data 4"},
      {R"({"w":3})", 0, "tensor \"w\": expected dtype, shape"},
      {R"({"w":{"dtype":"F32","shape":[1]}})", 4, "tensor \"w\": expected"},
      {R"({"w":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": dtype is not a string"},
      {R"({"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": no dtype F99"},
      {R"({"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": dtype BF16 is not supported"},
      {R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": shape has an entry that is no size"},
      {R"({"w":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": shape has an entry that is no size"},
      {R"({"w":{"dtype":"F32","shape":[99999999999999999999],)"
       R"("data_offsets":[0,4]}})",
       4, "tensor \"w\": shape has an entry that is no size"},
      {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],)"
       R"("data_offsets":[0,0]}})",
       0, "tensor \"w\": shape overflows"},
      {R"({"w":{"dtype":"F32","shape":[0,4294967296,4294967296],)"
       R"("data_offsets":[0,0]}})",
       0, "tensor \"w\": shape overflows"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
       "tensor \"w\": shape [2] of F32 takes 8 bytes, its offsets 4"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4,
       "tensor \"w\": data_offsets are not two offsets"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
       "tensor \"w\": data_offsets decrease"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 4,
       "tensor \"w\": ends at byte 8 of the data, which has 4"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
       "tensor \"w\": follows a hole in the data"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5,
       "the tensors take 4 bytes, the data 5"},
      {R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "tensor \"w\": overlaps another tensor"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "the name \"w\" appears more than once"},
      {R"({"__metadata__":3})", 0, "__metadata__ is not an object"},
      {R"({"__metadata__":{"a":3}})", 0, "__metadata__: \"a\" is not a string"},
  };
  for (const Case& c : cases) {
    const std::string message = ErrorOf(c.header, std::string(c.data, '\0'));
    EXPECT_THAT(message, HasSubstr(c.message)) << c.header;
    EXPECT_THAT(message, HasSubstr("m: ")) << c.header;
  }
}

TEST(SafetensorsTest, HeaderLength) {
  EXPECT_THAT(std::string(ParseSafetensors("1234567", "m").status().message()),
              HasSubstr("it has 7 bytes, too few for the header's length"));
  std::string huge(8, '\xff');
  EXPECT_THAT(std::string(ParseSafetensors(huge, "m").status().message()),
              HasSubstr("expected at most 100000000"));
  EXPECT_THAT(std::string(ParseSafetensors(File("{}", "").substr(0, 9), "m")
                              .status()
                              .message()),
              HasSubstr("a header of 2 bytes, but only 1 are there"));
}

// A file cut anywhere is an error, never a crash and never a tensor.
TEST(SafetensorsTest, EveryTruncationIsAnError) {
  const Tensor a = Tensor::FromVector<float>({1, 2, 3}, {3});
  const Tensor b = Tensor::FromVector<int64_t>({3}, {});
  const std::string path = TempPath("cut.safetensors");
  ASSERT_TRUE(
      WriteSafetensors(path, {{"a", &a}, {"b", &b}}, {{"k", "v"}}).ok());
  const std::string bytes = *ReadFile(path);
  ASSERT_TRUE(ParseSafetensors(bytes, "m").ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseSafetensors(bytes.substr(0, size), "m").ok()) << size;
  }
  EXPECT_FALSE(ParseSafetensors(bytes + "x", "m").ok());
}

// Whatever a changed byte makes of the file, reading it ends with a Status.
TEST(SafetensorsTest, SurvivesEveryByteFlip) {
  const Tensor a = Tensor::FromVector<float>({1, 2, 3}, {3});
  const Tensor b = Tensor::FromVector<int64_t>({3}, {1, 1});
  const std::string path = TempPath("flip.safetensors");
  ASSERT_TRUE(
      WriteSafetensors(path, {{"a", &a}, {"b", &b}}, {{"k", "v"}}).ok());
  const std::string bytes = *ReadFile(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 256; ++bit) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(bit);
      const auto file = ParseSafetensors(changed, "m");
      if (file.ok()) {
        EXPECT_LE(file->tensors.size(), 2u);
      }
    }
  }
}

// A population of thousands has so many in its checkpoint. A reader that looks
// through all of them for each takes minutes, and the test's time is up.
TEST(SafetensorsTest, HasManyTensors) {
  constexpr int kTensors = 150000;
  std::vector<Tensor> tensors;
  std::vector<NamedTensor> named;
  tensors.reserve(kTensors);
  for (int i = 0; i < kTensors; ++i) {
    tensors.push_back(Tensor::FromVector<int32_t>({i}, {}));
    named.push_back({"model." + std::to_string(i) + ".step", &tensors.back()});
  }
  const std::string path = TestFolder() + "/many.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, named, {}).ok());
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors.size(), static_cast<size_t>(kTensors));
  EXPECT_EQ(file->tensors.at("model.149999.step").data<int32_t>()[0], 149999);
}

}  // namespace
}  // namespace modelbatch
