#include "benchmarks/workload_table.h"

#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace modelbatch::benchmarks {
namespace {

ModelSpec Small(std::mt19937&) {
  return ModelSpec({64}).Linear(128).Relu().Linear(10);
}

ModelSpec Deep(std::mt19937&) {
  return ModelSpec({784}).Linear(256).Relu().Linear(256).Relu().Linear(10);
}

ModelSpec Ragged(std::mt19937& random) {
  constexpr int64_t kWidths[] = {32, 48, 64, 96, 128, 160, 192, 256};
  const int64_t h = kWidths[random() % std::size(kWidths)];
  return ModelSpec({64}).Linear(h).Relu().Linear(h).Relu().Linear(10);
}

ModelSpec Norm(std::mt19937&) {
  return ModelSpec({64}).Linear(128).LayerNorm().Gelu().Dropout(0.1).Linear(10);
}

// Hidden layers of one width, on rows of that width.
template <int64_t kWidth, int kHidden, int64_t kOutputs>
ModelSpec Square(std::mt19937&) {
  ModelSpec spec({kWidth});
  for (int i = 0; i < kHidden; ++i) spec.Linear(kWidth).Relu();
  return spec.Linear(kOutputs);
}

int64_t UpTo128(std::mt19937& random) {
  return 1 + static_cast<int64_t>(random() % 128);
}

}  // namespace

const std::vector<WorkloadEntry>& WorkloadTable() {
  static const auto* const table = new std::vector<WorkloadEntry>{
      {"mlp_small",
       "64-128-10",
       {64},
       10,
       64,
       {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024},
       Small},
      {"mlp_deep",
       "784-256-256-10",
       {784},
       10,
       128,
       {1, 2, 4, 8, 16, 32, 64},
       Deep},
      {"mlp_ragged",
       "64-h-h-10, h of each one of 32, 48, 64, 96, 128, 160, 192, 256",
       {64},
       10,
       64,
       {32},
       Ragged},
      {"ragged_rows",
       "64-128-10, rows of each between 1 and 128",
       {64},
       10,
       128,
       {32},
       Small,
       UpTo128},
      {"mlp_norm",
       "64-128-10 with layer norm, gelu and dropout 0.1",
       {64},
       10,
       64,
       {8, 32, 128},
       Norm},
      {"mlp_64",
       "64-64-64-64-8",
       {64},
       8,
       128,
       {64, 128, 1024},
       Square<64, 3, 8>,
       nullptr,
       true},
      {"mlp_256",
       "256-256-256-256-10",
       {256},
       10,
       128,
       {8, 128},
       Square<256, 3, 10>,
       nullptr,
       true},
      {"mlp_512",
       "512-512-512-10",
       {512},
       10,
       128,
       {64},
       Square<512, 2, 10>,
       nullptr,
       true},
      {"mlp_1024",
       "1024-1024-1024-10",
       {1024},
       10,
       128,
       {16},
       Square<1024, 2, 10>,
       nullptr,
       true},
  };
  return *table;
}

const WorkloadEntry& FindWorkload(const std::string& name) {
  for (const WorkloadEntry& entry : WorkloadTable()) {
    if (entry.name == name) return entry;
  }
  std::fprintf(stderr, "no workload \"%s\"; there are:", name.c_str());
  for (const WorkloadEntry& entry : WorkloadTable()) {
    std::fprintf(stderr, " %s", entry.name.c_str());
  }
  std::fprintf(stderr, "\n");
  std::exit(2);
}

}  // namespace modelbatch::benchmarks
