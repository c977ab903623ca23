// What goes through the ABI comes out as it went in: every field of every call,
// in both directions, through the SDK, a loaded library and the adapter.
#include "tests/abi/round_trip.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/loader.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/logging.h"
#include "tests/abi/recording_backend.h"

namespace {
std::atomic<int64_t> allocations{0};
}  // namespace

// Replaces the whole process's, the plugin's as well.
void* operator new(size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST_F(RoundTripTest, Identity) {
  EXPECT_EQ(plugin_->name(), "recording");
  EXPECT_EQ(plugin_->version(), "4.5.6");
  EXPECT_EQ(recorder_->plugin_path, plugin_->path());
  // A SHA-1 in hex: the GNU build id.
  EXPECT_THAT(plugin_->build_id(), testing::MatchesRegex("[0-9a-f]{40}"));
}

TEST_F(RoundTripTest, Probe) {
  recorder_->probe = {7, "4 threads", "because"};
  auto probe = plugin_->Probe();
  ASSERT_TRUE(probe.ok()) << probe.status();
  EXPECT_EQ(probe->score, 7);
  EXPECT_EQ(probe->device, "4 threads");
  EXPECT_EQ(probe->reason, "because");
  recorder_->throws = Recorder::Throw::kRuntimeError;
  EXPECT_EQ(plugin_->Probe().status().code(), absl::StatusCode::kInternal);
}

TEST_F(RoundTripTest, OptionsAndCapabilities) {
  recorder_->capabilities = {
      {"linear", "relu"}, {"mse"}, {}, {"fp32", "bf16"}, {"ragged_rows"}};
  const Attributes options = {{"threads", int64_t{-3}},
                              {"rate", 0.1},
                              {"pin", true},
                              {"device", std::string("a b")},
                              {"cores", std::vector<int64_t>{1, 0}}};
  const auto backend = plugin_->CreateBackend(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(recorder_->create_options, options);
  const Capabilities capabilities = (*backend)->capabilities();
  EXPECT_THAT(capabilities.operators, ElementsAre("linear", "relu"));
  EXPECT_THAT(capabilities.losses, ElementsAre("mse"));
  EXPECT_THAT(capabilities.optimizers, IsEmpty());
  EXPECT_THAT(capabilities.precisions, ElementsAre("fp32", "bf16"));
  EXPECT_THAT(capabilities.features, ElementsAre("ragged_rows"));
}

TEST_F(RoundTripTest, Compile) {
  CompileRequest request;
  request.models = {Model(-1, ~uint64_t{0}), Model(3, 4)};
  request.models[1].spec.AddOperator({"odd",
                                      "some_kind",
                                      {0, 1, Operator::kModelInput},
                                      {{"i", int64_t{1} << 62},
                                       {"f", -kInfinity},
                                       {"b", false},
                                       {"s", std::string("\xC3\xA9")},
                                       {"l", std::vector<int64_t>{}}}});
  request.loss = {"cross_entropy", {{"label_smoothing", 0.1}}};
  request.max_rows = int64_t{1} << 40;
  request.options = {{"precision", std::string("fp32")}};
  ASSERT_TRUE(backend_->Compile(request).ok());

  const CompileRequest& got = recorder_->compile;
  ASSERT_EQ(got.models.size(), 2u);
  for (size_t m = 0; m < 2; ++m) {
    const ModelInstance& sent = request.models[m];
    EXPECT_EQ(got.models[m].id, sent.id);
    EXPECT_EQ(got.models[m].seed, sent.seed);
    EXPECT_EQ(got.models[m].spec.input_shape(), sent.spec.input_shape());
    ASSERT_EQ(got.models[m].spec.operators().size(),
              sent.spec.operators().size());
    for (size_t o = 0; o < sent.spec.operators().size(); ++o) {
      const Operator& a = got.models[m].spec.operators()[o];
      const Operator& b = sent.spec.operators()[o];
      EXPECT_EQ(a.name, b.name);
      EXPECT_EQ(a.kind, b.kind);
      EXPECT_EQ(a.inputs, b.inputs);
      EXPECT_EQ(a.attributes, b.attributes);
    }
  }
  EXPECT_EQ(got.loss.kind, "cross_entropy");
  EXPECT_EQ(got.loss.attributes, request.loss.attributes);
  EXPECT_EQ(got.max_rows, request.max_rows);
  EXPECT_EQ(got.options, request.options);
}

TEST_F(RoundTripTest, CompileRefusesNoModelsAndNegativeRows) {
  EXPECT_EQ(backend_->Compile({{}, {"mse", {}}, 1, {}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto session = backend_->Compile({{Model(0, 0)}, {"mse", {}}, -1, {}});
  EXPECT_EQ(session.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(session.status()), HasSubstr("max_rows is -1"));
}

TEST_F(RoundTripTest, SetOptimizer) {
  ASSERT_TRUE(session_->SetOptimizer("adamw").ok());
  EXPECT_EQ(recorder_->optimizer, "adamw");
}

TEST_F(RoundTripTest, TrainStepWithSharedRows) {
  recorder_->step.losses = {0.5f, std::nanf(""), 2.5f};
  recorder_->step.outcomes = {Outcome::kStepped, Outcome::kNonFiniteLoss,
                              Outcome::kEmpty};
  const std::vector<int32_t> rows = {4, 0, 4};
  const std::vector<Column> columns = {{"lr", {0.1, 0.2, 0.3}},
                                       {"momentum", {0, -1, kInfinity}}};
  StepRequest request = Request();
  request.rows.rows = rows;
  request.columns = columns;
  StepResult result;
  ASSERT_TRUE(session_->TrainStep(request, &result).ok());

  const Recorder::Step& call = recorder_->step_call;
  EXPECT_THAT(call.rows.rows, ElementsAre(4, 0, 4));
  EXPECT_THAT(call.rows.offsets, IsEmpty());
  EXPECT_THAT(call.active, IsEmpty());
  EXPECT_FALSE(call.keep_gradients);
  EXPECT_TRUE(call.update);
  EXPECT_FALSE(call.accumulate);
  ASSERT_EQ(call.columns.size(), 2u);
  EXPECT_EQ(call.columns[0].name, "lr");
  EXPECT_EQ(call.columns[0].values, columns[0].values);
  EXPECT_EQ(call.columns[1].name, "momentum");
  EXPECT_EQ(call.columns[1].values, columns[1].values);
  ASSERT_EQ(result.losses.size(), 3u);
  EXPECT_EQ(result.losses[0], 0.5f);
  EXPECT_TRUE(std::isnan(result.losses[1]));
  EXPECT_THAT(
      result.outcomes,
      ElementsAre(Outcome::kStepped, Outcome::kNonFiniteLoss, Outcome::kEmpty));
}

TEST_F(RoundTripTest, TrainStepWithRaggedRowsMaskAndFlags) {
  recorder_->step.losses = {1, 2, 3};
  recorder_->step.outcomes = {Outcome::kInactive, Outcome::kNonFiniteGradient,
                              Outcome::kStepped};
  const std::vector<int32_t> rows = {3, 1, 2, 0};
  const std::vector<int64_t> offsets = {0, 3, 3, 4};
  const std::vector<uint8_t> active = {0, 1, 255};
  StepRequest request = Request();
  request.rows = {rows, offsets};
  request.active = active;
  request.keep_gradients = true;
  request.update = false;
  StepResult result;
  ASSERT_TRUE(session_->TrainStep(request, &result).ok());

  const Recorder::Step& call = recorder_->step_call;
  EXPECT_EQ(call.rows.rows, rows);
  EXPECT_EQ(call.rows.offsets, offsets);
  EXPECT_EQ(call.active, active);
  EXPECT_TRUE(call.keep_gradients);
  EXPECT_FALSE(call.update);
  EXPECT_FALSE(call.accumulate);
  EXPECT_THAT(call.columns, IsEmpty());
  EXPECT_THAT(result.losses, ElementsAre(1, 2, 3));
  EXPECT_THAT(result.outcomes,
              ElementsAre(Outcome::kInactive, Outcome::kNonFiniteGradient,
                          Outcome::kStepped));
}

TEST_F(RoundTripTest, ColumnsOfOneStepDoNotStayForTheNext) {
  const std::vector<Column> two = {{"lr", {1, 2, 3}}, {"eps", {4, 5, 6}}};
  const std::vector<Column> one = {{"eps", {7, 8, 9}}};
  StepRequest request = Request();
  StepResult result;
  request.columns = two;
  ASSERT_TRUE(session_->TrainStep(request, &result).ok());
  request.columns = one;
  ASSERT_TRUE(session_->TrainStep(request, &result).ok());
  ASSERT_EQ(recorder_->step_call.columns.size(), 1u);
  EXPECT_EQ(recorder_->step_call.columns[0].name, "eps");
  EXPECT_THAT(recorder_->step_call.columns[0].values, ElementsAre(7, 8, 9));
}

TEST_F(RoundTripTest, SizesThatDoNotFitAreRefused) {
  StepResult result;
  const std::vector<int32_t> rows = {0, 1};
  const std::vector<std::vector<int64_t>> wrong_offsets = {
      {0, 2}, {0, 1, 2, 2, 2}, {1, 1, 1, 2}, {0, 2, 1, 2}, {0, 1, 1, 1}};
  for (const std::vector<int64_t>& offsets : wrong_offsets) {
    StepRequest request = Request();
    request.rows = {rows, offsets};
    const absl::Status status = session_->TrainStep(request, &result);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(status), HasSubstr("offsets"));
    std::vector<Tensor> outputs;
    EXPECT_EQ(
        session_->Forward({dataset_.get(), request.rows}, &outputs).code(),
        absl::StatusCode::kInvalidArgument);
  }
  StepRequest request = Request();
  const std::vector<uint8_t> active = {1, 1};
  request.active = active;
  EXPECT_THAT(Message(session_->TrainStep(request, &result)),
              HasSubstr("active has 2 entries"));
  request = Request();
  const std::vector<Column> columns = {{"lr", {1, 2}}};
  request.columns = columns;
  EXPECT_THAT(Message(session_->TrainStep(request, &result)),
              AllOf(HasSubstr("\"lr\" has 2 values"), HasSubstr("3 models")));
  const std::vector<Column> twice = {{"lr", {1, 2, 3}}, {"lr", {1, 2, 3}}};
  request.columns = twice;
  EXPECT_THAT(Message(session_->TrainStep(request, &result)),
              HasSubstr("twice"));
}

TEST_F(RoundTripTest, Evaluate) {
  recorder_->evaluate.losses = {0.1, kInfinity, -0.0};
  recorder_->evaluate.correct = {int64_t{1} << 40, -1, 0};
  const std::vector<int32_t> rows = {2, 1};
  const std::vector<int64_t> offsets = {0, 0, 1, 2};
  const std::vector<uint8_t> active = {1, 0, 1};
  EvaluateRequest request{dataset_.get(), {rows, offsets}, active};
  EvaluateResult result;
  ASSERT_TRUE(session_->Evaluate(request, &result).ok());
  EXPECT_EQ(recorder_->evaluate_call.rows.rows, rows);
  EXPECT_EQ(recorder_->evaluate_call.rows.offsets, offsets);
  EXPECT_EQ(recorder_->evaluate_call.active, active);
  EXPECT_EQ(result.losses, recorder_->evaluate.losses);
  EXPECT_TRUE(std::signbit(result.losses[2]));
  EXPECT_EQ(result.correct, recorder_->evaluate.correct);
}

TEST_F(RoundTripTest, ForwardWithRaggedRows) {
  // fc has 4 outputs a row.
  recorder_->outputs.push_back(
      Tensor::FromVector<float>({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4}));
  recorder_->outputs.push_back(Tensor::Zeros(DType::kFloat32, {0, 4}));
  recorder_->outputs.push_back(
      Tensor::FromVector<float>({9, 10, 11, 12}, {1, 4}));
  const std::vector<int32_t> rows = {4, 3, 0};
  const std::vector<int64_t> offsets = {0, 2, 2, 3};
  std::vector<Tensor> outputs(7);  // of a call before
  ASSERT_TRUE(
      session_->Forward({dataset_.get(), {rows, offsets}}, &outputs).ok());
  EXPECT_EQ(recorder_->forward_call.rows.rows, rows);
  EXPECT_EQ(recorder_->forward_call.rows.offsets, offsets);
  EXPECT_FALSE(recorder_->forward_call.training);
  ASSERT_EQ(outputs.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Tensor& sent = recorder_->outputs[i];
    ASSERT_EQ(outputs[i].shape(), sent.shape());
    EXPECT_TRUE(std::equal(sent.data<float>(), sent.data<float>() + sent.size(),
                           outputs[i].data<float>()));
  }
}

TEST_F(RoundTripTest, OutputsOfTheWrongRowsAreTheBackendsError) {
  for (int i = 0; i < 3; ++i) {
    recorder_->outputs.push_back(Tensor::Zeros(DType::kFloat32, {2, 4}));
  }
  const std::vector<int32_t> rows = {4};
  std::vector<Tensor> outputs;
  const absl::Status status =
      session_->Forward({dataset_.get(), {rows, {}}}, &outputs);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(status), HasSubstr("[2, 4]"));
}

TEST_F(RoundTripTest, WiderOutputsThanTheHostHasRoomForAreRefused) {
  for (int i = 0; i < 3; ++i) {
    recorder_->outputs.push_back(Tensor::Zeros(DType::kFloat32, {1, 400}));
  }
  const std::vector<int32_t> rows = {4};
  std::vector<Tensor> outputs;
  const absl::Status status =
      session_->Forward({dataset_.get(), {rows, {}}}, &outputs);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("room for 400 floats"));
}

TEST_F(RoundTripTest, StateOfEveryDTypeIsWritten) {
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32,
                      DType::kInt64, DType::kUInt8}) {
    SCOPED_TRACE(DTypeName(dtype));
    Tensor value = Tensor::Zeros(dtype, {2, 3});
    auto* const bytes = static_cast<uint8_t*>(value.raw());
    for (size_t i = 0; i < value.byte_size(); ++i) bytes[i] = 31 * i + 7;
    ASSERT_TRUE(session_->WriteState(2, "exp_avg", "fc.weight", value).ok());
    const Recorder::State& call = recorder_->state_call;
    EXPECT_EQ(call.model, 2);
    EXPECT_EQ(call.slot, "exp_avg");
    EXPECT_EQ(call.parameter, "fc.weight");
    EXPECT_EQ(call.value.dtype(), dtype);
    EXPECT_THAT(call.value.shape(), ElementsAre(2, 3));
    const auto* const got = static_cast<const uint8_t*>(call.value.raw());
    EXPECT_TRUE(std::equal(got, got + call.value.byte_size(), bytes));
  }
}

TEST_F(RoundTripTest, StateIsRead) {
  recorder_->state = Tensor::FromVector<float>({1, -0.0f, 3, 4}, {4});
  const auto value = session_->ReadState(1, "param", "fc.bias");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(recorder_->state_call.model, 1);
  EXPECT_EQ(recorder_->state_call.slot, "param");
  EXPECT_EQ(recorder_->state_call.parameter, "fc.bias");
  ASSERT_THAT(value->shape(), ElementsAre(4));
  EXPECT_EQ(value->data<float>()[3], 4.0f);
  EXPECT_TRUE(std::signbit(value->data<float>()[1]));
}

TEST_F(RoundTripTest, TheStepCountHasNoParameter) {
  recorder_->state = Tensor::FromVector<int64_t>({int64_t{1} << 40}, {});
  const auto step = session_->ReadState(0, "step", "");
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(step->data<int64_t>()[0], int64_t{1} << 40);
  EXPECT_EQ(recorder_->state_call.parameter, "");
  ASSERT_TRUE(session_->WriteState(0, "step", "", *step).ok());
  EXPECT_EQ(recorder_->state_call.value.data<int64_t>()[0], int64_t{1} << 40);
}

TEST_F(RoundTripTest, StateThatIsNotThereIsNamed) {
  EXPECT_THAT(Message(session_->ReadState(1, "param", "fc.scale").status()),
              AllOf(HasSubstr("model 1 (id 11)"), HasSubstr("fc.scale"),
                    HasSubstr("fc.weight, fc.bias")));
  for (int model : {-1, 3}) {
    EXPECT_EQ(session_->ReadState(model, "step", "").status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(session_->WriteState(model, "step", "", Tensor()).code(),
              absl::StatusCode::kInvalidArgument);
  }
  // A backend whose shapes are not the layout's.
  recorder_->state = Tensor::Zeros(DType::kFloat32, {5});
  EXPECT_THAT(Message(session_->ReadState(0, "param", "fc.bias").status()),
              AllOf(HasSubstr("[4]"), HasSubstr("[5]")));
}

TEST_F(RoundTripTest, Stats) {
  recorder_->stats = {int64_t{1} << 40, 7, "gemm\nrelu"};
  const auto stats = session_->Stats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->state_bytes, int64_t{1} << 40);
  EXPECT_EQ(stats->workspace_bytes, 7);
  EXPECT_EQ(stats->plan, "gemm\nrelu");
}

TEST_F(RoundTripTest, Describe) {
  EXPECT_EQ(session_->Describe(0).status().code(),
            absl::StatusCode::kUnimplemented);
  recorder_->description = {{{"param", "fc.weight", DType::kFloat32, {4, 6}},
                             {"mask", "", DType::kUInt8, {0, 2}}},
                            {4}};
  const auto description = session_->Describe(2);
  ASSERT_TRUE(description.ok()) << description.status();
  EXPECT_EQ(recorder_->described, 2);
  ASSERT_EQ(description->states.size(), 2u);
  EXPECT_EQ(description->states[0].parameter, "fc.weight");
  EXPECT_EQ(description->states[0].shape, (Shape{4, 6}));
  EXPECT_EQ(description->states[1].slot, "mask");
  EXPECT_EQ(description->states[1].dtype, DType::kUInt8);
  EXPECT_EQ(description->output, (Shape{4}));
  for (const int model : {-1, 3}) {
    EXPECT_EQ(session_->Describe(model).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

// Neither the parameter's shape nor its dtype, and of no parameter at all.
TEST_F(RoundTripTest, StateIsReadAsItIsDescribed) {
  recorder_->description = {{{"product", "fc.bias", DType::kFloat64, {}},
                             {"seen", "", DType::kInt32, {2}}},
                            {4}};
  recorder_->state = Tensor::FromVector<double>({0.5}, {});
  const auto product = session_->ReadState(1, "product", "fc.bias");
  ASSERT_TRUE(product.ok()) << product.status();
  EXPECT_EQ(product->data<double>()[0], 0.5);
  recorder_->state = Tensor::FromVector<int32_t>({7, 8}, {2});
  const auto seen = session_->ReadState(1, "seen", "");
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_EQ(seen->data<int32_t>()[1], 8);
  // Described anew for another optimizer.
  recorder_->description.states[1].shape = {3};
  ASSERT_TRUE(session_->SetOptimizer("adam").ok());
  recorder_->state = Tensor::FromVector<int32_t>({7, 8, 9}, {3});
  EXPECT_TRUE(session_->ReadState(1, "seen", "").ok());
}

TEST_F(RoundTripTest, Tune) {
  recorder_->tune_report.seconds = 0.5;
  recorder_->tune_report.notes = "read 2 of \xC3\xA9\n";
  recorder_->tune_report.choices = {
      {"forward", "wide", TuneOrigin::kMeasured, 3, 6, 2e-6, 1e-6},
      {"backward", "plain", TuneOrigin::kDefault, 1, 0, 0, 0}};
  const Attributes options = {{"time_ms", int64_t{7}},
                              {"cache", std::string("a b")}};
  const auto report = session_->Tune(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(recorder_->tune_options, options);
  EXPECT_EQ(report->ToString(), recorder_->tune_report.ToString());
  recorder_->status = absl::DataLossError("truncated");
  EXPECT_EQ(session_->Tune(options).status(), recorder_->status);
}

TEST_F(RoundTripTest, APluginWithAnotherLayoutIsRefused) {
  recorder_->description = {{{"param", "fc.weight", DType::kFloat32, {4, 6}}},
                            {4}};
  const auto session = backend_->Compile({{Model(10, 1)}, {"mse", {}}, 8, {}});
  EXPECT_EQ(session.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(session.status()),
              HasSubstr("parameter fc.bias is missing"));
}

// The SDK has no layout of a program, nor has the host.
TEST_F(RoundTripTest, AProgramInAForeignFormat) {
  const std::vector<uint8_t> program = {'P', 'K', 0, 255, 3};
  ModelInstance model{5, 6, ModelSpec({3})};
  model.spec.AddOperator(
      {"net",
       "program",
       {Operator::kModelInput},
       {{"format", std::string("torchscript")}, {"program", program}}});
  recorder_->description = {{{"param", "a.b", DType::kFloat32, {2}}}, {7}};
  const auto session = backend_->Compile({{model}, {"mse", {}}, 8, {}});
  ASSERT_TRUE(session.ok()) << session.status();
  const Attributes& got =
      recorder_->compile.models[0].spec.operators()[0].attributes;
  EXPECT_EQ(std::get<std::vector<uint8_t>>(got.at("program")), program);
  recorder_->state = Tensor::FromVector<float>({1, 2}, {2});
  const auto value = (*session)->ReadState(0, "param", "a.b");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(value->data<float>()[1], 2);
  recorder_->outputs.push_back(Tensor::FromVector<float>(
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, {2, 7}));
  const std::vector<int32_t> rows = {0, 4};
  std::vector<Tensor> outputs;
  const absl::Status forward =
      (*session)->Forward({dataset_.get(), {rows, {}}}, &outputs);
  ASSERT_TRUE(forward.ok()) << forward;
  EXPECT_EQ(outputs[0].shape(), (Shape{2, 7}));
  EXPECT_EQ(outputs[0].data<float>()[13], 13);
}

TEST_F(RoundTripTest, ADatasetIsBorrowedAndLetGoOfOnce) {
  Tensor features = Tensor::Zeros(DType::kFloat32, {3, 2});
  Tensor targets = Tensor::FromVector<int64_t>({5, 6, 7}, {3});
  const void* const features_data = features.raw();
  const std::weak_ptr<void> features_memory = features.owner();
  const std::weak_ptr<void> targets_memory = targets.owner();
  auto dataset =
      backend_->CreateDataset(std::move(features), std::move(targets));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(recorder_->features.raw(), features_data);  // no copy
  EXPECT_EQ(recorder_->features.shape(), (Shape{3, 2}));
  EXPECT_EQ(recorder_->targets.dtype(), DType::kInt64);
  EXPECT_EQ(recorder_->targets.data<int64_t>()[2], 7);
  EXPECT_FALSE(features_memory.expired());
  recorder_->Reset();  // drops the backend's tensors
  EXPECT_TRUE(features_memory.expired());
  EXPECT_TRUE(targets_memory.expired());
}

TEST_F(RoundTripTest, ARefusedDatasetIsLetGoOf) {
  recorder_->status = absl::ResourceExhaustedError("no room");
  Tensor features = Tensor::Zeros(DType::kFloat32, {3, 2});
  Tensor targets = Tensor::Zeros(DType::kFloat32, {3});
  const std::weak_ptr<void> features_memory = features.owner();
  const std::weak_ptr<void> targets_memory = targets.owner();
  EXPECT_EQ(
      backend_->CreateDataset(std::move(features), std::move(targets)).status(),
      recorder_->status);
  EXPECT_TRUE(features_memory.expired());
  EXPECT_TRUE(targets_memory.expired());
}

TEST_F(RoundTripTest, DatasetsOfTheWrongTypeOrRowsAreRefused) {
  const auto message = [this](Tensor features, Tensor targets) {
    const std::weak_ptr<void> memory = features.owner();
    const auto dataset =
        backend_->CreateDataset(std::move(features), std::move(targets));
    EXPECT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(memory.expired());
    return Message(dataset.status());
  };
  EXPECT_THAT(message(Tensor::Zeros(DType::kFloat64, {3, 2}), Tensor()),
              AllOf(HasSubstr("features"), HasSubstr("float64")));
  EXPECT_THAT(message(Tensor::Zeros(DType::kFloat32, {}), Tensor()),
              HasSubstr("features"));
  EXPECT_THAT(message(Tensor::Zeros(DType::kFloat32, {3, 2}),
                      Tensor::Zeros(DType::kInt32, {3})),
              AllOf(HasSubstr("targets"), HasSubstr("int32")));
  EXPECT_THAT(message(Tensor::Zeros(DType::kFloat32, {3, 2}),
                      Tensor::Zeros(DType::kInt64, {3, 1})),
              HasSubstr("[3, 1]"));
  EXPECT_THAT(message(Tensor::Zeros(DType::kFloat32, {3, 2}),
                      Tensor::Zeros(DType::kInt64, {4})),
              AllOf(HasSubstr("4 rows"), HasSubstr("3")));
}

TEST_F(RoundTripTest, ADatasetOfAnotherBackendIsRefused) {
  auto other = plugin_->CreateBackend();
  ASSERT_TRUE(other.ok()) << other.status();
  auto dataset =
      (*other)->CreateDataset(Tensor::Zeros(DType::kFloat32, {5, 6}), Tensor());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  StepRequest request = Request();
  request.dataset = dataset->get();
  StepResult result;
  EXPECT_THAT(Message(session_->TrainStep(request, &result)),
              HasSubstr("another backend"));
  request.dataset = nullptr;
  EXPECT_EQ(session_->TrainStep(request, &result).code(),
            absl::StatusCode::kInvalidArgument);
}

// By the host: the other plugin, which cannot know, does not look.
TEST_F(RoundTripTest, ADatasetOfAnotherPluginIsRefused) {
  const auto plugin = LoadPlugin(PluginFile("minimal"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  const auto other = (*plugin)->CreateBackend();
  ASSERT_TRUE(other.ok()) << other.status();
  const auto session = (*other)->Compile({{Model(0, 0)}, {"mse", {}}, 1, {}});
  ASSERT_TRUE(session.ok()) << session.status();
  StepResult result;
  const absl::Status status = (*session)->TrainStep(Request(), &result);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("another backend"));
}

TEST_F(RoundTripTest, SessionsAndDatasetsMayOutliveTheirBackend) {
  backend_.reset();
  EXPECT_EQ(recorder_->backends, 1);  // kept
  StepResult result;
  EXPECT_TRUE(session_->TrainStep(Request(), &result).ok());
  session_.reset();
  dataset_.reset();
  EXPECT_EQ(recorder_->backends, 0);
}

TEST_F(RoundTripTest, EveryCodeAndMessageOfAnError) {
  for (int code = 1; code <= 16; ++code) {
    recorder_->status = absl::Status(
        static_cast<absl::StatusCode>(code),
        "model 3: caf\xC3\xA9, line\nbreak " + std::to_string(code));
    StepResult result;
    EXPECT_EQ(session_->TrainStep(Request(), &result), recorder_->status);
  }
  recorder_->status = absl::InternalError("");
  EXPECT_EQ(session_->SetOptimizer("sgd"), recorder_->status);
}

// Each of the calls, with the scripted status.
std::vector<absl::Status> CallAll(const Plugin& plugin, Backend& backend,
                                  Session& session, const Dataset& dataset) {
  StepRequest step;
  step.dataset = &dataset;
  StepResult step_result;
  EvaluateResult evaluate_result;
  std::vector<Tensor> outputs;
  std::vector<Outcome> outcomes;
  const std::vector<Tensor> gradients(3);
  BackwardRequest backward;
  backward.dataset = &dataset;
  backward.output_gradients = gradients;
  const std::vector<RowSet> rows(2);
  StepsRequest steps;
  steps.dataset = &dataset;
  steps.rows = rows;
  StepsResult steps_result;
  return {
      plugin.CreateBackend().status(),
      backend.Compile({{Model(0, 0)}, {"mse", {}}, 1, {}}).status(),
      backend.CreateDataset(Tensor::Zeros(DType::kFloat32, {1, 1}), Tensor())
          .status(),
      session.SetOptimizer("sgd"),
      session.TrainStep(step, &step_result),
      session.TrainSteps(steps, &steps_result),
      session.Evaluate({&dataset, {}, {}}, &evaluate_result),
      session.Forward({&dataset, {}}, &outputs),
      session.Backward(backward, &outcomes),
      session.Update({}, &outcomes),
      session.ZeroGrad(false),
      session.ReadState(0, "step", "").status(),
      session.WriteState(0, "step", "", Tensor::Zeros(DType::kInt64, {})),
      session.Stats().status(),
  };
}

TEST_F(RoundTripTest, EveryCallReportsItsError) {
  recorder_->status = absl::DataLossError("gone");
  for (const absl::Status& status :
       CallAll(*plugin_, *backend_, *session_, *dataset_)) {
    EXPECT_EQ(status, recorder_->status);
  }
}

TEST_F(RoundTripTest, EveryCallCatchesEveryException) {
  const struct {
    Recorder::Throw throws;
    absl::StatusCode code;
    const char* message;
  } kCases[] = {
      {Recorder::Throw::kRuntimeError, absl::StatusCode::kInternal, "scripted"},
      {Recorder::Throw::kBadAlloc, absl::StatusCode::kResourceExhausted,
       "out of memory in the plugin"},
      {Recorder::Throw::kLengthError, absl::StatusCode::kResourceExhausted,
       "out of memory in the plugin"},
      {Recorder::Throw::kInt, absl::StatusCode::kInternal, "exception"},
  };
  for (const auto& c : kCases) {
    recorder_->throws = c.throws;
    for (const absl::Status& status :
         CallAll(*plugin_, *backend_, *session_, *dataset_)) {
      EXPECT_EQ(status.code(), c.code) << status;
      EXPECT_THAT(Message(status), HasSubstr(c.message));
    }
  }
}

TEST_F(RoundTripTest, NullResultsOfABackendAreItsError) {
  recorder_->null_results = true;
  EXPECT_EQ(plugin_->CreateBackend().status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(
      backend_->Compile({{Model(0, 0)}, {"mse", {}}, 1, {}}).status().code(),
      absl::StatusCode::kInternal);
  EXPECT_EQ(
      backend_->CreateDataset(Tensor::Zeros(DType::kFloat32, {1, 1}), Tensor())
          .status()
          .code(),
      absl::StatusCode::kInternal);
}

TEST_F(RoundTripTest, ResultsOfTheWrongSizeAreTheBackendsError) {
  recorder_->step.losses = {1, 2};
  recorder_->step.outcomes = {Outcome::kStepped, Outcome::kStepped};
  StepResult result;
  EXPECT_EQ(session_->TrainStep(Request(), &result).code(),
            absl::StatusCode::kInternal);
  EvaluateResult evaluation;  // the recorder's is empty
  EXPECT_EQ(session_->Evaluate({dataset_.get(), {}, {}}, &evaluation).code(),
            absl::StatusCode::kInternal);
}

TEST_F(RoundTripTest, WhatThePluginLogsArrivesAtTheHostsSink) {
  std::vector<std::string> got;
  SetLogSink(LogSeverity::kInfo,
             [&got](LogSeverity severity, std::string_view message) {
               got.push_back(std::string(LogSeverityName(severity)) + ": " +
                             std::string(message));
             });
  recorder_->log = "slow \xC3\xA9";
  StepResult result;
  ASSERT_TRUE(session_->TrainStep(Request(), &result).ok());
  EXPECT_THAT(got, ElementsAre("warning: slow \xC3\xA9"));
}

TEST_F(RoundTripTest, AStepAllocatesNothingOnceItsBuffersAreSized) {
  recorder_->record = false;
  const std::vector<int32_t> rows = {0, 1, 2};
  const std::vector<int64_t> offsets = {0, 1, 2, 3};
  const std::vector<Column> columns = {
      {"lr", {1, 2, 3}},
      {"a name that does not fit into a short string", {4, 5, 6}}};
  StepRequest request = Request();
  request.rows = {rows, offsets};
  request.columns = columns;
  StepResult result;
  ASSERT_TRUE(session_->TrainStep(request, &result).ok());
  const int64_t before = allocations;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(session_->TrainStep(request, &result).ok());
  }
  EXPECT_EQ(allocations - before, 0);
  EXPECT_THAT(result.losses, ElementsAre(1, 2, 3));
}

TEST_F(RoundTripTest, SessionsRunConcurrently) {
  recorder_->record = false;
  auto second = backend_->Compile({{Model(0, 0)}, {"mse", {}}, 1, {}});
  ASSERT_TRUE(second.ok()) << second.status();
  std::atomic<int> wrong{0};
  const auto train = [&](Session* session, size_t num_models, double base) {
    std::vector<Column> columns = {{"lr", std::vector<double>(num_models)}};
    StepRequest request = Request();
    StepResult result;
    for (int step = 0; step < 2000; ++step) {
      for (size_t i = 0; i < num_models; ++i) {
        columns[0].values[i] = base + step + i;
      }
      request.columns = columns;
      if (!session->TrainStep(request, &result).ok()) ++wrong;
      for (size_t i = 0; i < num_models; ++i) {
        if (result.losses[i] != base + step + i) ++wrong;
      }
    }
  };
  std::thread a(train, session_.get(), 3, 0.0);
  std::thread b(train, second->get(), 1, 10000.0);
  a.join();
  b.join();
  EXPECT_EQ(wrong, 0);
}

// ---- What only a host that is not ours would send.

TEST_F(RoundTripTest, TheSdkChecksHeaders) {
  MB_ProbeArgs args = {};
  EXPECT_EQ(Take(*api_, api_->plugin_probe(nullptr)).first,
            MB_INVALID_ARGUMENT);
  args.header = Header(MB_SIZE(MB_ProbeArgs, device));
  EXPECT_THAT(Take(*api_, api_->plugin_probe(&args)),
              testing::Pair(
                  static_cast<int>(MB_INVALID_ARGUMENT),
                  AllOf(HasSubstr("MB_ProbeArgs"),
                        HasSubstr("struct_size is 40, expected at least 48"))));
  args.header = Header(MB_SIZE(MB_ProbeArgs, reason));
  args.header.abi_major = 0;
  EXPECT_THAT(Take(*api_, api_->plugin_probe(&args)).second,
              HasSubstr("has ABI version 0.1, expected major version 1"));
  args.header = Header(MB_SIZE(MB_ProbeArgs, reason));
  for (const uint32_t minor : {0, 99}) {
    args.header.abi_minor = minor;
    EXPECT_EQ(Take(*api_, api_->plugin_probe(&args)).first, MB_OK) << minor;
  }
}

TEST_F(RoundTripTest, ANewerHostsLongerStructsAreAccepted) {
  struct {
    MB_ProbeArgs args;
    void* later;
  } longer = {};
  longer.args.header = Header(sizeof(longer));
  MB_Extension extension = {sizeof(MB_Extension), 12345, nullptr};
  longer.args.header.extensions = &extension;
  recorder_->probe = {3, "d", "r"};
  EXPECT_EQ(api_->plugin_probe(&longer.args), nullptr);
  EXPECT_EQ(longer.args.score, 3);
}

TEST_F(RoundTripTest, TheSdkChecksNullPointers) {
  MB_BackendCreateArgs create = {};
  create.header = Header(MB_SIZE(MB_BackendCreateArgs, backend));
  create.num_options = 1;
  EXPECT_THAT(Take(*api_, api_->backend_create(&create)).second,
              HasSubstr("options is NULL"));
  create.num_options = 0;
  ASSERT_EQ(api_->backend_create(&create), nullptr);

  MB_SessionCompileArgs compile = {};
  compile.header = Header(MB_SIZE(MB_SessionCompileArgs, session));
  EXPECT_THAT(Take(*api_, api_->session_compile(&compile)).second,
              HasSubstr("backend is NULL"));
  compile.backend = create.backend;
  EXPECT_THAT(Take(*api_, api_->session_compile(&compile)).second,
              HasSubstr("loss is NULL"));
  compile.loss = "mse";
  EXPECT_THAT(Take(*api_, api_->session_compile(&compile)).second,
              HasSubstr("num_models is 0"));
  compile.num_models = 1;
  EXPECT_THAT(Take(*api_, api_->session_compile(&compile)).second,
              HasSubstr("models is NULL"));
  const MB_Model* models[] = {nullptr};
  compile.models = models;
  EXPECT_THAT(Take(*api_, api_->session_compile(&compile)).second,
              HasSubstr("models[0] is NULL"));
  MB_Model model = {};
  model.header = Header(MB_SIZE(MB_Model, num_operators));
  models[0] = &model;
  ASSERT_EQ(api_->session_compile(&compile), nullptr);

  MB_TrainStepArgs step = {};
  step.header = Header(MB_SIZE(MB_TrainStepArgs, outcomes));
  const auto step_error = [&] {
    return Take(*api_, api_->session_train_step(&step)).second;
  };
  EXPECT_THAT(step_error(), HasSubstr("session is NULL"));
  step.session = compile.session;
  EXPECT_THAT(step_error(), HasSubstr("dataset is NULL"));
  MB_DatasetCreateArgs data = {};
  data.header = Header(MB_SIZE(MB_DatasetCreateArgs, dataset));
  data.backend = create.backend;
  EXPECT_THAT(Take(*api_, api_->dataset_create(&data)).second,
              HasSubstr("features is NULL"));
  data.features = TensorToDLPack(Tensor::Zeros(DType::kFloat32, {1, 1}));
  ASSERT_EQ(api_->dataset_create(&data), nullptr);
  step.dataset = data.dataset;
  EXPECT_THAT(step_error(), HasSubstr("losses is NULL"));
  float loss = 0;
  step.losses = &loss;
  EXPECT_THAT(step_error(), HasSubstr("outcomes is NULL"));
  uint8_t outcome = 0;
  step.outcomes = &outcome;
  step.rows.num_rows = 1;
  EXPECT_THAT(step_error(), HasSubstr("rows.rows is NULL"));
  step.rows.num_rows = 0;
  step.num_columns = 1;
  EXPECT_THAT(step_error(), HasSubstr("columns is NULL"));
  const MB_Column column = {"lr", nullptr};
  step.columns = &column;
  EXPECT_THAT(step_error(), HasSubstr("columns[0].values is NULL"));
  step.num_columns = 0;
  step.flags = 8;
  EXPECT_THAT(step_error(), HasSubstr("flags is 8"));
  for (const int flags : {4, 4 | 1, 4 | 2}) {  // not with both others
    step.flags = flags;
    EXPECT_THAT(step_error(),
                AllOf(HasSubstr("flags is " + std::to_string(flags)),
                      HasSubstr("MB_STEP_ACCUMULATE comes with")));
  }
  step.flags = 0;
  step.reserved = 1;
  EXPECT_THAT(step_error(), HasSubstr("reserved 1"));
  step.reserved = 0;
  EXPECT_EQ(step_error(), "");

  api_->session_destroy(compile.session);
  api_->dataset_destroy(data.dataset);
  api_->backend_destroy(create.backend);
  api_->backend_destroy(nullptr);
  api_->error_destroy(nullptr);
}

TEST_F(RoundTripTest, TheSdkChecksWhoseDatasetItIs) {
  MB_BackendCreateArgs backends[2] = {};
  for (MB_BackendCreateArgs& create : backends) {
    create.header = Header(MB_SIZE(MB_BackendCreateArgs, backend));
    ASSERT_EQ(api_->backend_create(&create), nullptr);
  }
  MB_Model model = {};
  model.header = Header(MB_SIZE(MB_Model, num_operators));
  const MB_Model* const models[] = {&model};
  MB_SessionCompileArgs compile = {};
  compile.header = Header(MB_SIZE(MB_SessionCompileArgs, session));
  compile.backend = backends[0].backend;
  compile.loss = "mse";
  compile.num_models = 1;
  compile.models = models;
  ASSERT_EQ(api_->session_compile(&compile), nullptr);
  MB_DatasetCreateArgs data = {};
  data.header = Header(MB_SIZE(MB_DatasetCreateArgs, dataset));
  data.backend = backends[1].backend;
  data.features = TensorToDLPack(Tensor::Zeros(DType::kFloat32, {1, 1}));
  ASSERT_EQ(api_->dataset_create(&data), nullptr);
  float loss = 0;
  uint8_t outcome = 0;
  MB_TrainStepArgs step = {};
  step.header = Header(MB_SIZE(MB_TrainStepArgs, outcomes));
  step.session = compile.session;
  step.dataset = data.dataset;
  step.losses = &loss;
  step.outcomes = &outcome;
  EXPECT_THAT(Take(*api_, api_->session_train_step(&step)).second,
              HasSubstr("another backend"));
  // In the order in which a host should not: all is kept that is needed.
  api_->backend_destroy(backends[0].backend);
  api_->backend_destroy(backends[1].backend);
  api_->session_destroy(compile.session);
  api_->dataset_destroy(data.dataset);
}

TEST_F(RoundTripTest, TargetsAreTakenAlsoWhenTheFeaturesAreWrong) {
  Tensor targets = Tensor::Zeros(DType::kFloat32, {1});
  const std::weak_ptr<void> memory = targets.owner();
  MB_DatasetCreateArgs data = {};
  data.header = Header(MB_SIZE(MB_DatasetCreateArgs, dataset));
  data.features = TensorToDLPack(Tensor::Zeros(DType::kFloat32, {1, 1}));
  data.features->dl_tensor.device.device_type = MB_DL_CUDA;
  data.targets = TensorToDLPack(std::move(targets));
  EXPECT_EQ(Take(*api_, api_->dataset_create(&data)).first,
            MB_INVALID_ARGUMENT);
  EXPECT_TRUE(memory.expired());
}

TEST_F(RoundTripTest, TensorsAreTakenAlsoWhenTheCallIsWrong) {
  Tensor features = Tensor::Zeros(DType::kFloat32, {1, 1});
  const std::weak_ptr<void> memory = features.owner();
  MB_DatasetCreateArgs data = {};
  data.header = Header(MB_SIZE(MB_DatasetCreateArgs, dataset));
  data.header.abi_major = 9;
  data.features = TensorToDLPack(std::move(features));
  EXPECT_EQ(Take(*api_, api_->dataset_create(&data)).first,
            MB_INVALID_ARGUMENT);
  EXPECT_TRUE(memory.expired());
}

}  // namespace
}  // namespace modelbatch
