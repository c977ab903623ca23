#include "tests/conformance/plugin_under_test.h"

#include <algorithm>

namespace modelbatch::conformance {
namespace {

std::shared_ptr<Plugin>& Loaded() {
  static auto* const plugin = new std::shared_ptr<Plugin>;
  return *plugin;
}

}  // namespace

absl::Status LoadPluginUnderTest(const std::string& path) {
  absl::StatusOr<std::shared_ptr<Plugin>> plugin = LoadPlugin(path);
  if (plugin.ok()) Loaded() = *std::move(plugin);
  return plugin.status();
}

const Plugin& PluginUnderTest() { return *Loaded(); }

const std::vector<std::string>& KnownOperators() {
  static const auto* const kinds = new std::vector<std::string>{
      "add",    "dropout", "flatten", "gelu", "layer_norm",
      "linear", "relu",    "sigmoid", "tanh"};
  return *kinds;
}

const std::vector<std::string>& KnownLosses() {
  static const auto* const kinds = new std::vector<std::string>{
      "bce_with_logits", "cross_entropy", "huber", "l1", "mse", "nll",
      "smooth_l1"};
  return *kinds;
}

const std::vector<std::string>& KnownOptimizers() {
  static const auto* const kinds = new std::vector<std::string>{
      "adadelta", "adagrad", "adam",    "adamw", "lion",
      "nadam",    "radam",   "rmsprop", "sgd"};
  return *kinds;
}

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

void ConformanceTest::SetUp() {
  const ProbeResult probe = Get(PluginUnderTest().Probe());
  if (probe.score == 0) {
    GTEST_SKIP() << "the plugin cannot run here: " << probe.reason;
  }
  backend_ = Get(PluginUnderTest().CreateBackend());
  capabilities_ = backend_->capabilities();
}

}  // namespace modelbatch::conformance
