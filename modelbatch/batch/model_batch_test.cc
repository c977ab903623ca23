// What a batch asks of its backend, seen from a backend that writes it down.
#include "modelbatch/batch/model_batch.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

struct Recorded {
  CompileRequest request;
  std::map<std::pair<int, std::string>, std::vector<float>> parameters;
};

class RecordingSession : public Session {
 public:
  explicit RecordingSession(Recorded* recorded) : recorded_(recorded) {}

  absl::Status SetOptimizer(const std::string&) override { return NotThere(); }
  absl::Status TrainStep(const StepRequest&, StepResult*) override {
    return NotThere();
  }
  absl::Status Evaluate(const EvaluateRequest&, EvaluateResult*) override {
    return NotThere();
  }
  absl::Status Forward(const ForwardRequest&, std::vector<Tensor>*) override {
    return NotThere();
  }
  absl::Status Backward(const BackwardRequest&,
                        std::vector<Outcome>*) override {
    return NotThere();
  }
  absl::Status Update(const UpdateRequest&, std::vector<Outcome>*) override {
    return NotThere();
  }
  absl::Status ZeroGrad(bool) override { return NotThere(); }
  absl::StatusOr<Tensor> ReadState(int, const std::string&,
                                   const std::string&) override {
    return NotThere();
  }
  absl::Status WriteState(int model, const std::string& slot,
                          const std::string& parameter,
                          const Tensor& value) override {
    EXPECT_EQ(slot, "param");
    const float* data = value.data<float>();
    recorded_->parameters[{model, parameter}] = {data, data + value.size()};
    return absl::OkStatus();
  }
  absl::StatusOr<SessionStats> Stats() override { return NotThere(); }

 private:
  static absl::Status NotThere() { return absl::UnimplementedError(""); }

  Recorded* recorded_;
};

class RecordingBackend : public Backend {
 public:
  Capabilities capabilities() const override { return {}; }
  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override {
    recorded.request = request;
    return std::make_unique<RecordingSession>(&recorded);
  }
  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(Tensor,
                                                         Tensor) override {
    return absl::UnimplementedError("");
  }

  Recorded recorded;
};

ModelInstance Model(int64_t id, const std::string& init) {
  ModelSpec spec({6});
  spec.AddOperator({"fc",
                    "linear",
                    {-1},
                    {{"out_features", int64_t{6}}, {"weight_init", init}}});
  return {id, static_cast<uint64_t>(100 + id), spec};
}

// Models with different initialisers share a batch, each starts as it would
// alone, and the backend hears nothing of it.
TEST(ModelBatchTest, InitializersAreTheCoresOwn) {
  const std::vector<std::string> inits = {"orthogonal", "kaiming_normal",
                                          "trunc_normal", "default"};
  std::vector<ModelInstance> models;
  for (size_t i = 0; i < inits.size(); ++i) {
    models.push_back(Model(static_cast<int64_t>(i), inits[i]));
  }
  RecordingBackend together;
  const auto batch =
      ModelBatch::Create(&together, models, {"mse", {}}, /*max_rows=*/1);
  ASSERT_TRUE(batch.ok()) << batch.status();
  for (int i = 0; i < 4; ++i) {
    RecordingBackend alone;
    ASSERT_TRUE(ModelBatch::Create(&alone, {models[i]}, {"mse", {}}, 1).ok());
    for (const char* name : {"fc.weight", "fc.bias"}) {
      const auto& values = together.recorded.parameters.at({i, name});
      EXPECT_EQ(values, alone.recorded.parameters.at({0, name}));
    }
    const ModelInstance& seen = together.recorded.request.models[i];
    EXPECT_EQ(seen.id, models[i].id);
    EXPECT_EQ(seen.seed, models[i].seed);
    EXPECT_EQ(seen.spec.operators()[0].attributes,
              (Attributes{{"out_features", int64_t{6}}}));
    // The batch's own models keep what they were made of.
    EXPECT_EQ((*batch)->model(i).spec.operators()[0].attributes.size(), 2u);
  }
  EXPECT_NE(together.recorded.parameters.at({0, "fc.weight"}),
            together.recorded.parameters.at({3, "fc.weight"}));
}

// By name, and no batch is half tuned.
TEST(ModelBatchTest, WhatTheBackendLacksIsUnimplemented) {
  RecordingBackend backend;
  const auto batch =
      ModelBatch::Create(&backend, {Model(0, "default")}, {"mse", {}}, 1);
  ASSERT_TRUE(batch.ok()) << batch.status();
  const absl::Status status = (*batch)->EnableCompile().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(status.message(), "this backend has nothing to tune");
  EXPECT_EQ((*batch)->session().Describe(0).status().code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace modelbatch
