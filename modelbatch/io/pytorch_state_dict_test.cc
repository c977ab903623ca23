#include "modelbatch/io/pytorch_state_dict.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/zip_writer.h"
#include "modelbatch/util/test_folder.h"

// What PyTorch reads and writes itself is in tests/interop.

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::string TempPath(const std::string& name) {
  return TestFolder() + "/" + name;
}

std::string Text(const std::string& text) {
  const uint32_t size = text.size();
  std::string bytes = "X";
  bytes.append(reinterpret_cast<const char*>(&size), 4);
  return bytes + text;
}

std::string Int(int64_t value) {
  std::string bytes = "\x8a\x08";
  bytes.append(reinterpret_cast<const char*>(&value), 8);
  return bytes;
}

std::string Tuple(const std::vector<int64_t>& values) {
  std::string bytes = "(";
  for (int64_t value : values) bytes += Int(value);
  return bytes + "t";
}

// A tensor as torch.save pickles it, of whatever sizes.
std::string TensorPickle(const std::string& type, int64_t storage,
                         int64_t offset, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& strides,
                         const std::string& key = "0") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + Text("storage") +
         "ctorch\n" + type + "\n" + Text(key) + Text("cpu") + Int(storage) +
         "tQ" + Int(offset) + Tuple(shape) + Tuple(strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

// The bytes of an archive with the pickle of {"w": value} and one storage of
// three floats, 1, 2, 3.
struct Archive {
  std::string pickle;
  std::string version = "3\n";
  std::string order = "little";
  std::vector<std::pair<std::string, std::string>> more;

  std::string Bytes() const {
    const std::string path = TempPath("archive.pt");
    const float storage[] = {1, 2, 3};
    ZipWriter zip;
    zip.Add("m/data.pkl", pickle.data(), pickle.size());
    zip.Add("m/byteorder", order.data(), order.size());
    zip.Add("m/data/0", storage, sizeof(storage));
    zip.Add("m/version", version.data(), version.size());
    for (const auto& [name, content] : more) {
      zip.Add(name, content.data(), content.size());
    }
    EXPECT_TRUE(zip.Write(path).ok());
    return *ReadFile(path);
  }
};

Archive ArchiveOf(const std::string& value) {
  Archive archive;
  archive.pickle = "\x80\x02}" + Text("w") + value + "s.";
  return archive;
}

std::string ErrorOf(const Archive& archive) {
  const auto state = ParsePyTorchStateDict(archive.Bytes(), "m.pt");
  return state.ok() ? "no error" : std::string(state.status().message());
}

TEST(PyTorchStateDictTest, RoundTripKeepsOrderAndBits) {
  std::vector<Tensor> tensors;
  tensors.push_back(Tensor::FromVector<float>(
      {1.5f, -0.0f, 1e-40f, std::numeric_limits<float>::quiet_NaN()}, {2, 2}));
  tensors.push_back(Tensor::FromVector<int64_t>({-7}, {}));
  tensors.push_back(Tensor::FromVector<double>({0.1}, {1, 1}));
  tensors.push_back(Tensor::Zeros(DType::kFloat32, {0, 3}));
  tensors.push_back(Tensor::FromVector<int32_t>({1, 2, 3}, {3}));
  tensors.push_back(Tensor::FromVector<uint8_t>({255}, {1}));
  const std::vector<std::string> names = {"z.weight", "a", "m\n\xC3\xA9",
                                          "",         "0", "\"'\\"};
  std::vector<NamedTensor> named;
  for (size_t i = 0; i < names.size(); ++i) {
    named.push_back({names[i], &tensors[i]});
  }
  const std::string path = TempPath("round.pt");
  ASSERT_TRUE(WritePyTorchStateDict(path, named).ok());
  const auto state = ReadPyTorchStateDict(path);
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_EQ(state->size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ((*state)[i].name, names[i]);
    const Tensor& read = (*state)[i].tensor;
    EXPECT_EQ(read.dtype(), tensors[i].dtype());
    EXPECT_EQ(read.shape(), tensors[i].shape());
    EXPECT_EQ(std::memcmp(read.raw(), tensors[i].raw(), read.byte_size()), 0);
  }
  const std::string first = *ReadFile(path);
  ASSERT_TRUE(WritePyTorchStateDict(path, named).ok());
  EXPECT_EQ(*ReadFile(path), first);
}

TEST(PyTorchStateDictTest, WriterRefusesNames) {
  const Tensor t = Tensor::Zeros(DType::kFloat32, {1});
  const std::string path = TempPath("refused.pt");
  EXPECT_THAT(WritePyTorchStateDict(path, {{"a", &t}, {"a", &t}}).ToString(),
              HasSubstr("the name \"a\" appears more than once"));
  EXPECT_THAT(WritePyTorchStateDict(path, {{"a", &t}, {"\xff", &t}}).ToString(),
              HasSubstr("the name of tensor 1 is not valid UTF-8"));
  EXPECT_EQ(ReadFile(path).status().code(), absl::StatusCode::kNotFound);
}

TEST(PyTorchStateDictTest, NoFile) {
  const auto state = ReadPyTorchStateDict("/nowhere/m.pt");
  EXPECT_EQ(state.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadPyTorchStateDict(TestFolder()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// The elements that strides say: element (i, j) of [2, 2] with strides (s, t)
// and offset o is o + i s + j t.
TEST(PyTorchStateDictTest, Strides) {
  const auto values = [](int64_t offset, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& strides) {
    const auto state = ParsePyTorchStateDict(
        ArchiveOf(TensorPickle("FloatStorage", 3, offset, shape, strides))
            .Bytes(),
        "m.pt");
    EXPECT_TRUE(state.ok()) << state.status();
    const Tensor& tensor = state->at(0).tensor;
    EXPECT_EQ(tensor.shape(), shape);
    return std::vector<float>(tensor.data<float>(),
                              tensor.data<float>() + tensor.size());
  };
  EXPECT_EQ(values(0, {3}, {1}), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(values(1, {2}, {1}), (std::vector<float>{2, 3}));
  EXPECT_EQ(values(0, {2}, {2}), (std::vector<float>{1, 3}));
  EXPECT_EQ(values(2, {}, {}), (std::vector<float>{3}));
  EXPECT_EQ(values(0, {2, 2}, {1, 1}), (std::vector<float>{1, 2, 2, 3}));
  EXPECT_EQ(values(1, {2, 2}, {0, 1}), (std::vector<float>{2, 3, 2, 3}));
  EXPECT_EQ(values(0, {1, 3, 1}, {99, 1, 99}), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(values(9, {0, 5}, {5, 1}), (std::vector<float>{}));
}

TEST(PyTorchStateDictTest, ErrorsNameFileAndTensor) {
  struct Case {
    std::string value;
    const char* message;
  };
  const int64_t big = int64_t{1} << 60;
  const auto floats = [](int64_t storage, int64_t offset,
                         const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& strides) {
    return TensorPickle("FloatStorage", storage, offset, shape, strides);
  };
  const Case cases[] = {
      {floats(3, 0, {4}, {1}),
       "its last element is number 3 of a storage of 3"},
      {floats(3, 1, {3}, {1}), "number 3 of a storage of 3"},
      {floats(3, 3, {}, {}), "number 3 of a storage of 3"},
      {floats(3, 0, {2, 2}, {2, 1}), "number 3 of a storage of 3"},
      {floats(4, 0, {4}, {1}),
       "storage \"m/data/0\" has 12 bytes, expected 4 elements of 4"},
      {floats(big, 0, {4}, {1}), "has 12 bytes, expected 1152921504606846976"},
      {floats(3, -1, {1}, {1}), "the offset is no offset"},
      {floats(3, 0, {-1}, {1}), "shape or strides have the integer -1"},
      {floats(3, 2, {2}, {-1}), "shape or strides have the integer -1"},
      {floats(3, 0, {1}, {}), "has 1 sizes and 0 strides"},
      {floats(3, 0, {big, 16}, {0, 0}), "overflows"},
      {floats(3, 0, {3, 3}, {big * 4, 1}), "shape or strides have"},
      {floats(3, 0, {9, 9}, {big, big}), "overflows"},
      {floats(3, big * 7, {9, 9}, {big, 1}), "overflows"},
      {floats(3, 0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)),
       "not a tuple of sizes"},
      {floats(3, 0, {1 << 14, 1 << 15}, {0, 0}),
       "the tensors would take 2147483648 bytes"},
      {TensorPickle("FloatStorage", 3, 0, {3}, {1}, "1"),
       "the archive lacks its storage \"m/data/1\""},
      {TensorPickle("FloatStorage", 3, 0, {3}, {1}, "../version"),
       "lacks its storage"},
      {TensorPickle("DoubleStorage", 3, 0, {3}, {1}),
       "has 12 bytes, expected 3 elements of 8"},
      {TensorPickle("HalfStorage", 6, 0, {3}, {1}),
       "m.pt: tensor \"w\": dtype float16 is not supported, expected float32, "
       "float64, int32, int64 or uint8"},
      {Int(3), "\"w\" is the integer 3, expected a tensor"},
      {"N", "\"w\" is None, expected a tensor"},
      {"}", "torch.save the inner dict by itself"},
      {"ctorch._utils\n_rebuild_tensor_v2\n)R", "a tensor with 0 arguments"},
      {"ctorch._utils\n_rebuild_parameter\n)R", "three arguments"},
      {"ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR", "it has no storage"},
      {"ctorch._utils\n_rebuild_tensor_v2\n(NQNNNNNtR", "it has no storage"},
      {"ctorch._utils\n_rebuild_tensor_v2\n((NNNNNtQNNNNNtR",
       "not one of torch.save's"},
      {"cposix\nsystem\n" + Text("true") + "\x85R",
       "the global posix.system is not allowed; expected a dict of tensors"},
  };
  for (const Case& c : cases) {
    const std::string error = ErrorOf(ArchiveOf(c.value));
    EXPECT_THAT(error, HasSubstr(c.message));
    EXPECT_EQ(error.rfind("m.pt: ", 0), 0u) << error;
  }
}

TEST(PyTorchStateDictTest, RefusesOtherArchives) {
  const std::string good = TensorPickle("FloatStorage", 3, 0, {3}, {1});
  EXPECT_EQ(ErrorOf(ArchiveOf(good)), "no error");
  Archive archive = ArchiveOf(good);
  archive.version = "11\n";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("format version 11"));
  archive.version = "x";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("\"version\" is no number"));
  archive = ArchiveOf(good);
  archive.order = "big";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("big endian"));
  archive.order = "middle";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("unknown byte order"));
  archive = ArchiveOf(good);
  archive.more = {{"m/constants.pkl", ""}};
  EXPECT_THAT(ErrorOf(archive), HasSubstr("TorchScript archive"));
  archive.more = {{"other/data", ""}};
  EXPECT_THAT(ErrorOf(archive), HasSubstr("\"other/data\" is not in one"));
  archive = ArchiveOf(good);
  archive.pickle = "\x80\x02].";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("has a list of 0, expected a dict"));
  archive.pickle = "\x80\x02}" + Int(1) + good + "s.";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("key that is the integer 1"));
  archive.pickle =
      "\x80\x02}" + Text("w") + good + "s" + Text("w") + good + "s.";
  EXPECT_THAT(ErrorOf(archive), HasSubstr("\"w\": the name appears more than"));
}

TEST(PyTorchStateDictTest, RefusesWhatIsNoArchive) {
  for (const char* text : {"", "P", "hello", "\x93NUMPY"}) {
    EXPECT_THAT(ParsePyTorchStateDict(text, "m.pt").status().message(),
                HasSubstr("m.pt: not a PyTorch checkpoint"));
  }
  EXPECT_THAT(ParsePyTorchStateDict("PK\x03\x04", "m.pt").status().message(),
              HasSubstr("m.pt: not a valid zip archive"));
}

}  // namespace
}  // namespace modelbatch
