// A session of the recording plugin, for tests of what crosses the ABI.
#ifndef TESTS_ABI_ROUND_TRIP_H_
#define TESTS_ABI_ROUND_TRIP_H_

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/loader.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/logging.h"
#include "tests/abi/recording_backend.h"

namespace modelbatch {

inline std::string PluginFile(const std::string& name) {
  return std::string(std::getenv("TEST_SRCDIR")) +
         "/modelbatch/tests/abi/libmodelbatch_" + name + ".so";
}

inline std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

inline ModelInstance Model(int64_t id, uint64_t seed) {
  ModelInstance model{id, seed, ModelSpec({2, 3})};
  model.spec.AddOperator({"flat", "flatten", {Operator::kModelInput}, {}});
  model.spec.AddOperator(
      {"fc", "linear", {0}, {{"out_features", int64_t{4}}, {"bias", true}}});
  return model;
}

// The error's code and message; destroys it.
inline std::pair<int, std::string> Take(const MB_PluginApi& api,
                                        MB_Error* error) {
  if (error == nullptr) return {0, ""};
  std::pair<int, std::string> result = {api.error_code(error),
                                        api.error_message(error)};
  api.error_destroy(error);
  return result;
}

inline MB_Header Header(size_t size) {
  return {size, MB_ABI_MAJOR, MB_ABI_MINOR, nullptr};
}

// Three models, with ids 10 to 12, and a dataset of five rows.
class RoundTripTest : public testing::Test {
 protected:
  void SetUp() override {
    auto plugin = LoadPlugin(PluginFile("recording"));
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    plugin_ = *plugin;
    void* const library =
        dlopen(plugin_->path().c_str(), RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(library, nullptr) << dlerror();
    recorder_ =
        reinterpret_cast<Recorder* (*)()>(dlsym(library, "MB_TestRecorder"))();
    api_ = reinterpret_cast<MB_GetPluginApiFunction>(
        dlsym(library, MB_GET_PLUGIN_API_SYMBOL))(nullptr);
    recorder_->Reset();

    auto backend = plugin_->CreateBackend();
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    auto session = backend_->Compile(
        {{Model(10, 1), Model(11, 2), Model(12, 3)}, {"mse", {}}, 8, {}});
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    auto dataset = backend_->CreateDataset(
        Tensor::Zeros(DType::kFloat32, {5, 2, 3}), Tensor());
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    dataset_ = *std::move(dataset);
  }

  void TearDown() override {
    recorder_->Reset();
    session_.reset();
    dataset_.reset();
    backend_.reset();
    // Every object was destroyed once.
    EXPECT_EQ(recorder_->backends, 0);
    EXPECT_EQ(recorder_->sessions, 0);
    EXPECT_EQ(recorder_->datasets, 0);
    SetLogSink(LogSeverity::kInfo, nullptr);
  }

  StepRequest Request() const {
    StepRequest request;
    request.dataset = dataset_.get();
    return request;
  }

  std::shared_ptr<Plugin> plugin_;
  Recorder* recorder_ = nullptr;
  const MB_PluginApi* api_ = nullptr;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Dataset> dataset_;
};

}  // namespace modelbatch

#endif  // TESTS_ABI_ROUND_TRIP_H_
