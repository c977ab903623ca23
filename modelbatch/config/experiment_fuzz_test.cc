// Damaged experiment files are refused, whatever the damage.
#include <string>

#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/util/fuzz.h"

namespace modelbatch {
namespace {

constexpr char kValid[] = R"(name = "t"
seed = 7
[data]
path = "digits.csv"
header = true
label = ["y"]
scale = 0.0625
[data.folds]
count = 5
[model]
layers = [
  { kind = "linear", out_features = { values = [32, 64] } },
  { kind = "relu", name = "act" },
  { kind = "dropout", p = 0.5, inputs = ["act"] },
  { kind = "linear", out_features = 10, weight_init = "normal" },
]
[loss]
kind = "cross_entropy"
weight = [1, 2, 3]
[population]
search = "random"
models = 16
[optimizer]
kind = "adam"
lr = { min = 1e-4, max = 0.1, scale = "log" }
[train]
epochs = 3
batch_size = 64
early_stopping = { patience = 2 }
)";

TEST(ExperimentFuzzTest, Toml) {
  const MemoryLimit limit(512 << 20);
  Fuzz(kValid, 10000, [](const std::string& bytes) {
    const auto config = ParseExperiment(bytes, "dir/t.toml");
    // What is taken is written, and read again.
    if (config.ok()) {
      const std::string text = ExperimentToToml(*config);
      const auto again = ParseExperiment(text, "dir/t.toml");
      EXPECT_TRUE(again.ok()) << again.status() << "\n" << text;
    }
    return config.status();
  });
}

TEST(ExperimentFuzzTest, DeepTables) {
  const MemoryLimit limit(512 << 20);
  for (const char* piece : {"[", "{a=", "{ a.a = [", "a."}) {
    std::string text = "x = ";
    for (int i = 0; i < 200000; ++i) text += piece;
    EXPECT_FALSE(ParseExperiment(text, "deep.toml").ok());
    EXPECT_FALSE(ParseExperiment(kValid, "t.toml", {text}).ok());
    EXPECT_FALSE(ParseExperiment(text.substr(4), "deep.toml").ok());
  }
}

}  // namespace
}  // namespace modelbatch
