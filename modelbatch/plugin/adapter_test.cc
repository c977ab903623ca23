// What the adapter makes of tables that the SDK would never export: older ones,
// ones that lack calls, ones that break the ABI. (At major version 0 the loader
// refuses older ones before.)
#include "modelbatch/plugin/adapter.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/tensor/tensor.h"

// A plugin whose calls do nothing.
struct MB_Error {};
struct MB_Backend {};
struct MB_Session {
  size_t num_models;
};
struct MB_Dataset {
  MB_DLManagedTensor* features;
};

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What the plugin answers and got.
struct Script {
  int outcome = MB_MODEL_STEPPED;  // written by Backward and Update; -1: none
  bool throws = false;
  uint32_t flags = 0;  // of the last step or forward
  int later_calls = 0;
  const char* weight = "0.weight";  // what Describe calls it
  int describe_code = MB_OK;
};
Script script;

int32_t ErrorCode(const MB_Error*) { return script.describe_code; }
const char* ErrorMessage(const MB_Error*) { return ""; }
void ErrorDestroy(MB_Error*) {}
MB_Error* BackendCreate(MB_BackendCreateArgs* args) {
  args->backend = new MB_Backend;
  return nullptr;
}
void BackendDestroy(MB_Backend* backend) { delete backend; }
MB_Error* GetCapabilities(MB_CapabilitiesArgs* args) {
  static const char* const kNone[] = {nullptr};
  args->operators = args->losses = args->optimizers = kNone;
  args->precisions = args->features = kNone;
  return nullptr;
}
MB_Error* Compile(MB_SessionCompileArgs* args) {
  args->session = new MB_Session{args->num_models};
  return nullptr;
}
void SessionDestroy(MB_Session* session) { delete session; }
MB_Error* DatasetCreate(MB_DatasetCreateArgs* args) {
  args->dataset = new MB_Dataset{args->features};
  return nullptr;
}
void DatasetDestroy(MB_Dataset* dataset) {
  dataset->features->deleter(dataset->features);
  delete dataset;
}
MB_Error* Answer(const MB_Session* session, uint8_t* outcomes) {
  ++script.later_calls;
  if (script.throws) throw std::runtime_error("must not cross");
  for (size_t i = 0; i < session->num_models && script.outcome >= 0; ++i) {
    outcomes[i] = static_cast<uint8_t>(script.outcome);
  }
  return nullptr;
}
MB_Error* TrainStep(MB_TrainStepArgs* args) {
  script.flags = args->flags;
  for (size_t i = 0; i < args->session->num_models; ++i) {
    args->outcomes[i] = MB_MODEL_STEPPED;
  }
  return nullptr;
}
MB_Error* Forward(MB_ForwardArgs* args) {
  script.flags = args->flags;
  return nullptr;
}
MB_Error* Backward(MB_BackwardArgs* args) {
  return Answer(args->session, args->outcomes);
}
MB_Error* Update(MB_UpdateArgs* args) {
  return Answer(args->session, args->outcomes);
}
MB_Error* ZeroGrad(MB_ZeroGradArgs* args) {
  uint8_t outcome = 0;
  const MB_Session one = {1};
  (void)args;
  return Answer(&one, &outcome);
}

// The state of linear(3, 2) under SGD.
MB_Error* Describe(MB_DescribeArgs* args) {
  static char error;
  if (script.describe_code != MB_OK) return reinterpret_cast<MB_Error*>(&error);
  static const int64_t kWeight[] = {2, 3}, kBias[] = {2};
  constexpr MB_DLDataType kFloat = {MB_DL_FLOAT, 32, 1};
  static MB_StateInfo states[3];
  states[0] = {"param", script.weight, kFloat, 0, kWeight, 2};
  states[1] = {"param", "0.bias", kFloat, 0, kBias, 1};
  states[2] = {"step", nullptr, {MB_DL_INT, 64, 1}, 0, nullptr, 0};
  args->states = states;
  args->num_states = 3;
  args->output_shape = kBias;
  args->output_rank = 1;
  return nullptr;
}
MB_Error* Tune(MB_TuneArgs* args) {
  script.flags = static_cast<uint32_t>(args->num_options);
  static const MB_TuneChoice kChoice = {"a", "b", "cached", 1, 2, 3, 4};
  args->choices = &kChoice;
  args->num_choices = 1;
  args->notes = script.throws ? nullptr : "";
  return nullptr;
}

MB_PluginApi Table() {
  MB_PluginApi api = {};
  api.header = {MB_SIZE(MB_PluginApi, session_tune), MB_ABI_MAJOR, MB_ABI_MINOR,
                nullptr};
  api.name = "scripted";
  api.error_code = ErrorCode;
  api.error_message = ErrorMessage;
  api.error_destroy = ErrorDestroy;
  api.backend_create = BackendCreate;
  api.backend_destroy = BackendDestroy;
  api.backend_capabilities = GetCapabilities;
  api.session_compile = Compile;
  api.session_destroy = SessionDestroy;
  api.dataset_create = DatasetCreate;
  api.dataset_destroy = DatasetDestroy;
  api.session_train_step = TrainStep;
  api.session_forward = Forward;
  api.session_backward = Backward;
  api.session_update = Update;
  api.session_zero_grad = ZeroGrad;
  api.session_describe = Describe;
  api.session_tune = Tune;
  return api;
}

class AdapterTest : public testing::Test {
 protected:
  void SetUp() override { script = Script(); }

  // Two models of `api`.
  void Use(const MB_PluginApi& api) {
    api_ = api;
    auto backend = CreatePluginBackend(&api_, {});
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    ModelInstance model{0, 0, ModelSpec({3})};
    model.spec.Linear(2);
    auto session = backend_->Compile({{model, model}, {"mse", {}}, 1, {}});
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    auto dataset = backend_->CreateDataset(
        Tensor::Zeros(DType::kFloat32, {4, 3}), Tensor());
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    dataset_ = *std::move(dataset);
  }

  absl::Status CallBackward() {
    return session_->Backward({dataset_.get(), RowSet(), {}, gradients_},
                              &outcomes_);
  }
  absl::Status CallUpdate() { return session_->Update({}, &outcomes_); }
  absl::Status CallStep(bool accumulate) {
    StepRequest request;
    request.dataset = dataset_.get();
    request.keep_gradients = true;
    request.update = false;
    request.accumulate = accumulate;
    StepResult result;
    return session_->TrainStep(request, &result);
  }
  absl::Status CallForward(bool training) {
    std::vector<Tensor> outputs;
    return session_->Forward({dataset_.get(), RowSet(), training}, &outputs);
  }

  const std::vector<Tensor> gradients_ = std::vector<Tensor>(2);
  std::vector<Outcome> outcomes_;
  MB_PluginApi api_ = {};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Dataset> dataset_;
};

void ExpectLacks(const absl::Status& status, const std::string& what) {
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("\"scripted\""), HasSubstr(what)));
}

TEST_F(AdapterTest, TheWholeTableIsCalled) {
  Use(Table());
  EXPECT_TRUE(CallBackward().ok());
  EXPECT_TRUE(CallUpdate().ok());
  EXPECT_TRUE(session_->ZeroGrad(true).ok());
  EXPECT_EQ(script.later_calls, 3);
  EXPECT_TRUE(CallStep(true).ok());
  EXPECT_EQ(script.flags,
            static_cast<uint32_t>(MB_STEP_KEEP_GRADIENTS | MB_STEP_NO_UPDATE |
                                  MB_STEP_ACCUMULATE));
  EXPECT_TRUE(CallForward(true).ok());
  EXPECT_EQ(script.flags, static_cast<uint32_t>(MB_FORWARD_TRAINING));
  const auto description = session_->Describe(1);
  ASSERT_TRUE(description.ok()) << description.status();
  EXPECT_EQ(description->states.size(), 3u);
  const auto report = session_->Tune({{"time_ms", int64_t{5}}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->choices.size(), 1u);
  EXPECT_EQ(script.flags, 1u);
}

// Both sides compute with the same tensors, or the session is refused.
TEST_F(AdapterTest, AnotherLayoutThanTheHostsBreaksTheAbi) {
  Use(Table());
  ModelInstance model{7, 0, ModelSpec({3})};
  model.spec.Linear(2);
  script.weight = "0.kernel";
  const auto session = backend_->Compile({{model}, {"mse", {}}, 1, {}});
  EXPECT_EQ(session.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(session.status().message()),
              AllOf(HasSubstr("session_describe"), HasSubstr("(id 7)"),
                    HasSubstr("parameter 0.weight is missing")));
}

TEST_F(AdapterTest, ASessionNeedNotDescribeItself) {
  script.describe_code = MB_UNIMPLEMENTED;
  Use(Table());
  EXPECT_EQ(session_->Describe(0).status().code(),
            absl::StatusCode::kUnimplemented);
  script.describe_code = MB_RESOURCE_EXHAUSTED;
  ModelInstance model{7, 0, ModelSpec({3})};
  model.spec.Linear(2);
  EXPECT_EQ(backend_->Compile({{model}, {"mse", {}}, 1, {}}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(AdapterTest, AReportThatIsNoneBreaksTheAbi) {
  Use(Table());
  script.throws = true;
  const absl::Status status = session_->Tune({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("session_tune"), HasSubstr("notes is NULL")));
}

TEST_F(AdapterTest, CallsThatAreNullAreLacking) {
  MB_PluginApi api = Table();
  api.session_describe = nullptr;
  api.session_stats = nullptr;
  api.session_tune = nullptr;
  api.session_backward = nullptr;
  api.session_update = nullptr;
  api.session_zero_grad = nullptr;
  Use(api);
  ExpectLacks(session_->Describe(0).status(), "session_describe");
  ExpectLacks(session_->Stats().status(), "session_stats");
  ExpectLacks(session_->Tune({}).status(), "session_tune");
  ExpectLacks(CallBackward(), "session_backward");
  ExpectLacks(CallUpdate(), "session_update");
  ExpectLacks(session_->ZeroGrad(false), "session_zero_grad");
}

TEST_F(AdapterTest, OutcomesThatThereAreNotBreakTheAbi) {
  Use(Table());
  for (const int outcome : {5, 254, -1}) {
    script.outcome = outcome;
    const std::string what =
        "outcomes[0] is " + std::to_string(outcome < 0 ? 255 : outcome);
    const absl::Status backward = CallBackward(), update = CallUpdate();
    EXPECT_EQ(backward.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(backward.message()),
                AllOf(HasSubstr("session_backward"), HasSubstr(what)));
    EXPECT_EQ(update.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(update.message()),
                AllOf(HasSubstr("session_update"), HasSubstr(what)));
  }
}

TEST_F(AdapterTest, ExceptionsBreakTheAbi) {
  Use(Table());
  script.throws = true;
  for (const absl::Status& status :
       {CallBackward(), CallUpdate(), session_->ZeroGrad(false)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr("C++ exception"));
  }
}

}  // namespace
}  // namespace modelbatch
