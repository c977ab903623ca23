// The fastest known way to cut up each matrix product, by shape, kernels and
// processor: what a process has measured, or read from a file.
//
//   TuningTable& table = GlobalTuningTable();
//   MB_RETURN_IF_ERROR(table.Read("tuning.txt", &notes));
//   std::optional<TunedProduct> tuned = table.Find("avx2", shape);
//
// Bits do not depend on it. Thread-safe.
//
// The file is text, a line a product, and has those of every processor that has
// written to it:
//
//   modelbatch cpu tuning 1
//   avx2 forward 64 10 128 wide packed 2.551 2.384 AMD EPYC 7B13
//   end 1
//
// the sizes m, n, k and the times in microseconds, of the default and of this.
#ifndef BACKENDS_CPU_TUNING_TABLE_H_
#define BACKENDS_CPU_TUNING_TABLE_H_

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cpu/kernels.h"

namespace modelbatch::cpu {

// The products of a linear operation: y = x w^T, dw = dy^T x, dx = dy w.
enum class Product { kForward, kWeightGradient, kInputGradient };

struct ProductShape {
  Product product = Product::kForward;
  int64_t m = 0, n = 0, k = 0;  // as in GemmArgs

  // "forward 64 x 10 x 128"
  std::string ToString() const;
  friend bool operator<(const ProductShape& a, const ProductShape& b) {
    return std::tie(a.product, a.m, a.n, a.k) <
           std::tie(b.product, b.m, b.n, b.k);
  }
};

// "wide tiles, packed"
std::string TilingName(const GemmTiling& tiling);

struct TunedProduct {
  GemmTiling tiling;
  double default_seconds = 0, seconds = 0;  // of one product
};

class TuningTable {
 public:
  // `processor`: what this machine's entries are known by.
  explicit TuningTable(std::string processor)
      : processor_(std::move(processor)) {}

  // Of this processor.
  std::optional<TunedProduct> Find(const std::string& kernels,
                                   const ProductShape& shape) const;
  void Add(const std::string& kernels, const ProductShape& shape,
           const TunedProduct& tuned);

  // Adds what a file holds and the table does not. No file is none. DataLoss or
  // InvalidArgument names the file, the line and what was expected, and nothing
  // was added. `notes`: lines that say what was found.
  absl::Status Read(const std::string& path, std::string* notes);
  // Adds what the table holds and the file does not, which stays as it is where
  // that is nothing; it is the old or the new one at any time.
  absl::Status AddTo(const std::string& path, std::string* notes) const;

 private:
  struct Key {
    std::string processor, kernels;
    ProductShape shape;
    friend bool operator<(const Key& a, const Key& b) {
      return std::tie(a.processor, a.kernels, a.shape) <
             std::tie(b.processor, b.kernels, b.shape);
    }
  };
  using Entries = std::map<Key, TunedProduct>;

  // NotFound: there is no file.
  static absl::StatusOr<Entries> ReadEntries(const std::string& path);
  static absl::Status Parse(const std::string& text, Entries* entries);

  const std::string processor_;
  mutable std::mutex mutex_;
  Entries entries_;
};

// The process's.
TuningTable& GlobalTuningTable();

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_TUNING_TABLE_H_
