// Damaged files of tensors are refused, whatever the damage.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/gzip.h"
#include "modelbatch/io/pytorch_state_dict.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/io/zip_reader.h"
#include "modelbatch/io/zip_writer.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/fuzz.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

constexpr uint64_t kMostMemory = 512 << 20;

std::vector<Tensor> Tensors() {
  std::vector<Tensor> tensors;
  tensors.push_back(
      Tensor::FromVector(std::vector<float>(24, 1.5f), {2, 3, 4}));
  tensors.push_back(Tensor::FromVector(std::vector<int64_t>{3}, {}));
  tensors.push_back(Tensor::FromVector(std::vector<double>{}, {0, 5}));
  return tensors;
}

std::vector<NamedTensor> Named(const std::vector<Tensor>& tensors) {
  return {{"0.weight", &tensors[0]},
          {"batch.count", &tensors[1]},
          {"empty", &tensors[2]}};
}

TEST(ReadersFuzzTest, PyTorchStateDict) {
  const std::vector<Tensor> tensors = Tensors();
  const std::string path = TestFolder() + "/valid.pt";
  ASSERT_TRUE(WritePyTorchStateDict(path, Named(tensors)).ok());
  const std::string valid = *ReadFile(path);
  const MemoryLimit limit(kMostMemory);
  Fuzz(valid, 6000, [](const std::string& bytes) {
    return ParsePyTorchStateDict(bytes, "fuzz").status();
  });
}

// The checksums of a zip archive hide its content from chance: the pickle with
// them set right.
TEST(ReadersFuzzTest, PickleOfAStateDict) {
  const std::vector<Tensor> tensors = Tensors();
  const std::string path = TestFolder() + "/valid.pt";
  ASSERT_TRUE(WritePyTorchStateDict(path, Named(tensors)).ok());
  auto archive = ZipReader::Open(path);
  ASSERT_TRUE(archive.ok()) << archive.status();
  std::vector<std::pair<std::string, std::string>> entries;
  size_t pickle = 0;
  for (size_t i = 0; i < archive->entries().size(); ++i) {
    entries.emplace_back(archive->entries()[i].name, *archive->Read(i));
    if (entries.back().first.find("data.pkl") != std::string::npos) pickle = i;
  }
  const MemoryLimit limit(kMostMemory);
  Fuzz(entries[pickle].second, 1000, [&](const std::string& bytes) {
    ZipWriter writer;
    for (size_t i = 0; i < entries.size(); ++i) {
      const std::string& content = i == pickle ? bytes : entries[i].second;
      writer.Add(entries[i].first, content.data(), content.size());
    }
    const std::string damaged = TestFolder() + "/damaged.pt";
    const absl::Status written = writer.Write(damaged);
    EXPECT_TRUE(written.ok()) << written;
    return ReadPyTorchStateDict(damaged).status();
  });
}

TEST(ReadersFuzzTest, Safetensors) {
  const std::vector<Tensor> tensors = Tensors();
  const std::string path = TestFolder() + "/valid.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, Named(tensors), {{"format", "pt"}}).ok());
  const std::string valid = *ReadFile(path);
  const MemoryLimit limit(kMostMemory);
  Fuzz(valid, 20000, [](const std::string& bytes) {
    return ParseSafetensors(bytes, "fuzz").status();
  });
}

// As deep as a header can be.
TEST(ReadersFuzzTest, DeepHeader) {
  const std::string deep(4 << 20, '[');
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(deep.size() >> (8 * i));
  }
  const MemoryLimit limit(kMostMemory);
  EXPECT_FALSE(ParseSafetensors(bytes + deep, "deep").ok());
}

TEST(ReadersFuzzTest, Gzip) {
  // printf 'abcabcabc' | gzip -n | xxd -p
  const std::string valid(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\x4e\x04\x23\x00"
      "\x18\x48\x2d\x46\x09\x00\x00\x00",
      25);
  const MemoryLimit limit(kMostMemory);
  Fuzz(valid, 5000, [](const std::string& bytes) {
    return Gunzip(bytes, 1 << 20, "fuzz").status();
  });
}

}  // namespace
}  // namespace modelbatch
