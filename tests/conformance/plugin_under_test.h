// The plugin that the conformance suite runs on, and a fixture for its tests.
#ifndef TESTS_CONFORMANCE_PLUGIN_UNDER_TEST_H_
#define TESTS_CONFORMANCE_PLUGIN_UNDER_TEST_H_

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/loader.h"

namespace modelbatch::conformance {

// Loads the plugin of --plugin. Call once, before the tests run.
absl::Status LoadPluginUnderTest(const std::string& path);
const Plugin& PluginUnderTest();

// What the tests know: docs/operators.md.
const std::vector<std::string>& KnownOperators();
const std::vector<std::string>& KnownLosses();
const std::vector<std::string>& KnownOptimizers();

bool Contains(const std::vector<std::string>& list, const std::string& item);

// The value; a failed status fails the test.
template <typename T>
T Get(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}
inline void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

// Has a backend, or skips the test when the plugin cannot run on this machine.
class ConformanceTest : public testing::Test {
 protected:
  void SetUp() override;

  Backend& backend() { return *backend_; }
  bool HasOperator(const std::string& kind) const {
    return Contains(capabilities_.operators, kind);
  }
  bool HasLoss(const std::string& kind) const {
    return Contains(capabilities_.losses, kind);
  }
  bool HasOptimizer(const std::string& kind) const {
    return Contains(capabilities_.optimizers, kind);
  }
  bool HasFeature(const std::string& feature) const {
    return Contains(capabilities_.features, feature);
  }
  const Capabilities& capabilities() const { return capabilities_; }

 private:
  std::unique_ptr<Backend> backend_;
  Capabilities capabilities_;
};

// Skips the rest of a test of something that the plugin does not claim.
#define MB_REQUIRES(condition)                                 \
  do {                                                         \
    if (!(condition)) {                                        \
      GTEST_SKIP() << "the plugin does not claim " #condition; \
    }                                                          \
  } while (false)

}  // namespace modelbatch::conformance

#endif  // TESTS_CONFORMANCE_PLUGIN_UNDER_TEST_H_
