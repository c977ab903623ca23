// Damaged files of data are refused, whatever the damage.
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "modelbatch/data/cifar_reader.h"
#include "modelbatch/data/csv_reader.h"
#include "modelbatch/data/idx_reader.h"
#include "modelbatch/data/npy_reader.h"
#include "modelbatch/data/numeric_array.h"
#include "modelbatch/io/zip_writer.h"
#include "modelbatch/util/fuzz.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

constexpr uint64_t kMostMemory = 512 << 20;

// As numpy.save writes a uint8 array of shape (2, 3).
std::string Npy() {
  std::string header =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";
  header.append(128 - 10 - 1 - header.size(), ' ');
  header += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += '\1';
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += '\0';
  return bytes + header + "\1\2\3\4\5\6";
}

// What is read is made into a table too.
absl::Status TableOf(const absl::StatusOr<NumericArray>& array) {
  if (!array.ok()) return array.status();
  const absl::Status status = TableFromFeatures(*array, 1).status();
  TableFromArrays(*array, *array, {}).status().IgnoreError();
  return status;
}

std::string InFile(const std::string& name, const std::string& bytes) {
  const std::string path = TestFolder() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(ReadersFuzzTest, Npy) {
  const MemoryLimit limit(kMostMemory);
  Fuzz(Npy(), 20000, [](const std::string& bytes) {
    return TableOf(ParseNpy(bytes, "fuzz"));
  });
}

TEST(ReadersFuzzTest, Npz) {
  const std::string npy = Npy();
  ZipWriter writer;
  writer.Add("x.npy", npy.data(), npy.size());
  writer.Add("y.npy", npy.data(), npy.size());
  const std::string path = TestFolder() + "/valid.npz";
  ASSERT_TRUE(writer.Write(path).ok());
  std::ifstream file(path, std::ios::binary);
  const std::string valid{std::istreambuf_iterator<char>(file), {}};
  const MemoryLimit limit(kMostMemory);
  Fuzz(valid, 3000, [](const std::string& bytes) {
    const std::string damaged = InFile("damaged.npz", bytes);
    NpzNames(damaged).status().IgnoreError();
    return ReadNpz(damaged, {"x", "y"}).status();
  });
}

TEST(ReadersFuzzTest, Idx) {
  const std::string valid("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x01\1\2\3\4",
                          20);
  const MemoryLimit limit(kMostMemory);
  Fuzz(valid, 20000, [](const std::string& bytes) {
    return TableOf(ParseIdx(bytes, "fuzz"));
  });
}

TEST(ReadersFuzzTest, Cifar) {
  std::string valid;
  for (char label : {'\1', '\7'}) valid += label + std::string(3072, 'x');
  const MemoryLimit limit(kMostMemory);
  Fuzz(valid, 1000, [](const std::string& bytes) {
    return ReadCifar({InFile("damaged.bin", bytes)}, {}).status();
  });
}

TEST(ReadersFuzzTest, Csv) {
  CsvOptions options;
  options.header = true;
  options.label = {{0, "kind"}};
  const MemoryLimit limit(kMostMemory);
  Fuzz("a,\"b \"\"c\"\"\",kind\n1,-2.5e3,0\r\n+4 , 5,1\n\n6,7,2\n", 20000,
       [&](const std::string& bytes) {
         return ParseCsv(bytes, "fuzz", options).status();
       });
}

}  // namespace
}  // namespace modelbatch
