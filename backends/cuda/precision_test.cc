// Whole training runs in tf32 and bf16, with the kernels on the emulator:
// against a reference in double that rounds the operands of its products, and
// alone against among others.
#include "backends/cuda/kernels/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "backends/cuda/testing/rounding.h"
#include "backends/grouped/testing/random_population.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using grouped::testing::Random;
using grouped::testing::RandomPopulation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RoundedTo;

std::unique_ptr<Backend> OnEmulator() {
  return std::make_unique<CudaBackend>(
      []() -> absl::StatusOr<std::unique_ptr<Gpu>> {
        emulator::RunOptions options;
        options.order = emulator::Order::kRandom;
        options.seed = 3;
        return std::make_unique<EmulatedGpu>(options);
      });
}

const char* NameOf(Precision precision) {
  return kPrecisionNames[static_cast<int>(precision)];
}

Tensor ToTensor(const std::vector<double>& values, Shape shape) {
  Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
  for (size_t e = 0; e < values.size(); ++e) {
    tensor.data<float>()[e] = static_cast<float>(values[e]);
  }
  return tensor;
}

TEST(Precisions, AreListedAndOthersAreRefusedByName) {
  const auto backend = OnEmulator();
  EXPECT_THAT(backend->capabilities().precisions,
              ElementsAre("fp32", "tf32", "bf16"));
  CompileRequest request;
  request.models.push_back({0, 0, ModelSpec({2}).Linear(1)});
  request.loss = {"mse", {}};
  request.max_rows = 1;
  request.options["precision"] = std::string("fp8");
  const absl::Status status = backend->Compile(request).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("\"fp8\" is not in this backend; it has: fp32, tf32, "
                        "bf16"));
}

// ---- A reference: x -> linear -> relu -> linear -> tanh -> linear, mean
// squared error, SGD with momentum as torch.optim has it. All in double, but
// for the operands of products.

using Values = std::vector<double>;

class Reference {
 public:
  Reference(Precision precision, std::vector<int> widths, double lr,
            double momentum)
      : precision_(precision),
        widths_(std::move(widths)),
        lr_(lr),
        momentum_(momentum) {}

  // [out, in], [out], of each layer.
  std::vector<Values> parameters;

  // One step on these rows; the loss before it.
  double Step(const Values& x, const Values& target) {
    const int layers = static_cast<int>(widths_.size()) - 1;
    const int rows = static_cast<int>(x.size()) / widths_[0];
    std::vector<Values> values = {x};
    for (int l = 0; l < layers; ++l) {
      const int in = widths_[l], out = widths_[l + 1];
      Values y(rows * out);
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < out; ++j) {
          double sum = 0;
          for (int p = 0; p < in; ++p) {
            sum += R(values[l][i * in + p]) * R(parameters[2 * l][j * in + p]);
          }
          sum += parameters[2 * l + 1][j];
          if (l == 0) sum = std::max(0.0, sum);
          if (l == 1) sum = std::tanh(sum);
          y[i * out + j] = sum;
        }
      }
      values.push_back(std::move(y));
    }
    Values dy = values[layers];
    double loss = 0;
    for (size_t e = 0; e < dy.size(); ++e) {
      dy[e] -= target[e];
      loss += dy[e] * dy[e] / static_cast<double>(dy.size());
      dy[e] *= 2.0 / static_cast<double>(dy.size());
    }
    std::vector<Values> gradients(2 * layers);
    for (int l = layers - 1; l >= 0; --l) {
      const int in = widths_[l], out = widths_[l + 1];
      Values dw(out * in), db(out), dx(rows * in);
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < out; ++j) {
          const double d = dy[i * out + j];
          db[j] += d;
          for (int p = 0; p < in; ++p) {
            dw[j * in + p] += R(d) * R(values[l][i * in + p]);
            dx[i * in + p] += R(d) * R(parameters[2 * l][j * in + p]);
          }
        }
      }
      for (size_t e = 0; e < dx.size(); ++e) {
        const double y = values[l][e];
        if (l == 1 && y <= 0) dx[e] = 0;
        if (l == 2) dx[e] *= 1 - y * y;
      }
      gradients[2 * l] = std::move(dw);
      gradients[2 * l + 1] = std::move(db);
      dy = std::move(dx);
    }
    if (momentum_buffer_.empty()) momentum_buffer_ = gradients;
    for (size_t t = 0; t < gradients.size(); ++t) {
      for (size_t e = 0; e < gradients[t].size(); ++e) {
        double& b = momentum_buffer_[t][e];
        if (steps_ > 0) b = momentum_ * b + gradients[t][e];
        parameters[t][e] -= lr_ * b;
      }
    }
    ++steps_;
    return loss;
  }

 private:
  double R(double x) const {
    return precision_ == Precision::kFp32 ? x : RoundedTo(precision_, x);
  }

  const Precision precision_;
  const std::vector<int> widths_;
  const double lr_, momentum_;
  std::vector<Values> momentum_buffer_;
  int steps_ = 0;
};

double Distance(const std::vector<Values>& a, const std::vector<Values>& b) {
  double sum = 0, size = 0;
  for (size_t t = 0; t < a.size(); ++t) {
    for (size_t e = 0; e < a[t].size(); ++e) {
      sum += (a[t][e] - b[t][e]) * (a[t][e] - b[t][e]);
      size += b[t][e] * b[t][e];
    }
  }
  return std::sqrt(sum / size);
}

class Training : public ::testing::TestWithParam<Precision> {};

// The run stays with the reference that rounds as it does: closer by far than
// that is to one that does not round. (Not to the last bit: what lies between
// two numbers of a precision is rounded up here and down there, now and then.)
TEST_P(Training, FollowsAReferenceThatRoundsOperands) {
  constexpr int kFeatures = 13, kOutputs = 3, kDatasetRows = 64, kSteps = 25;
  constexpr double kMomentum = 0.9;
  const std::vector<std::vector<int>> widths = {{kFeatures, 24, 17, kOutputs},
                                                {kFeatures, 70, 5, kOutputs},
                                                {kFeatures, 16, 32, kOutputs}};
  Random random(11);
  const auto draw = [&random](int count, double scale) {
    Values values(count);
    // As the device gets them.
    for (double& x : values) x = static_cast<float>(scale * random.Normal());
    return values;
  };
  const Values x = draw(kDatasetRows * kFeatures, 1);
  const Values target = draw(kDatasetRows * kOutputs, 1);

  const auto backend = OnEmulator();
  CompileRequest request;
  std::vector<Reference> rounds, does_not;
  std::vector<Column> columns = {{"lr", {}},
                                 {"momentum", {}},
                                 {"dampening", {}},
                                 {"weight_decay", {}},
                                 {"nesterov", {}}};
  for (size_t m = 0; m < widths.size(); ++m) {
    request.models.push_back({static_cast<int64_t>(m), 0,
                              ModelSpec({kFeatures})
                                  .Linear(widths[m][1])
                                  .Relu()
                                  .Linear(widths[m][2])
                                  .Tanh()
                                  .Linear(kOutputs)});
    const double lr = 0.01 * static_cast<double>(m + 1);
    const double values[] = {lr, kMomentum, 0, 0, 0};
    for (int c = 0; c < 5; ++c) columns[c].values.push_back(values[c]);
    rounds.emplace_back(GetParam(), widths[m], lr, kMomentum);
    does_not.emplace_back(Precision::kFp32, widths[m], lr, kMomentum);
  }
  request.loss = {"mse", {}};
  request.max_rows = 30;
  request.options["precision"] = std::string(NameOf(GetParam()));
  auto session = *backend->Compile(request);
  ASSERT_TRUE(session->SetOptimizer("sgd").ok());
  const auto dataset =
      *backend->CreateDataset(ToTensor(x, {kDatasetRows, kFeatures}),
                              ToTensor(target, {kDatasetRows, kOutputs}));
  const char* const names[] = {"0.weight", "0.bias",   "2.weight",
                               "2.bias",   "4.weight", "4.bias"};
  for (size_t m = 0; m < widths.size(); ++m) {
    for (int l = 0; l < 3; ++l) {
      const int in = widths[m][l], out = widths[m][l + 1];
      rounds[m].parameters.push_back(draw(out * in, 1 / std::sqrt(in)));
      rounds[m].parameters.push_back(draw(out, 0.1));
      for (int p = 2 * l; p < 2 * l + 2; ++p) {
        const Tensor value = ToTensor(rounds[m].parameters[p],
                                      p % 2 == 0 ? Shape{out, in} : Shape{out});
        const absl::Status status =
            session->WriteState(static_cast<int>(m), "param", names[p], value);
        ASSERT_TRUE(status.ok()) << status;
      }
    }
    does_not[m].parameters = rounds[m].parameters;
  }

  for (int step = 0; step < kSteps; ++step) {
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets = {0};
    for (size_t m = 0; m < widths.size(); ++m) {
      for (int64_t i = random.Int(10, request.max_rows); i > 0; --i) {
        rows.push_back(static_cast<int32_t>(random.Int(0, kDatasetRows - 1)));
      }
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    StepRequest train;
    train.dataset = dataset.get();
    train.rows = {rows, offsets};
    train.columns = columns;
    StepResult result;
    ASSERT_TRUE(session->TrainStep(train, &result).ok());
    for (size_t m = 0; m < widths.size(); ++m) {
      Values of_rows, targets;
      for (const int32_t row : RowsOf(train.rows, m)) {
        of_rows.insert(of_rows.end(), &x[row * kFeatures],
                       &x[row * kFeatures] + kFeatures);
        targets.insert(targets.end(), &target[row * kOutputs],
                       &target[row * kOutputs] + kOutputs);
      }
      const double loss = rounds[m].Step(of_rows, targets);
      does_not[m].Step(of_rows, targets);
      EXPECT_NEAR(result.losses[m], loss, 1e-3 * loss) << "step " << step;
    }
  }
  for (size_t m = 0; m < widths.size(); ++m) {
    std::vector<Values> trained;
    for (const char* const name : names) {
      const Tensor value =
          *session->ReadState(static_cast<int>(m), "param", name);
      trained.emplace_back(value.data<float>(),
                           value.data<float>() + value.size());
    }
    const double rounding =
        Distance(rounds[m].parameters, does_not[m].parameters);
    const double found = Distance(trained, rounds[m].parameters);
    EXPECT_LT(found, rounding / 5) << "model " << m;
    EXPECT_GT(rounding, 1e-6);
    RecordProperty(absl::StrCat("model_", m),
                   absl::StrCat(found, " of ", rounding));
  }
}

// The flaw of training whose weights are bf16: an update below their resolution
// is lost, however many follow. Here weights are fp32, and only rounded on
// their way into a product.
TEST_P(Training, KeepsUpdatesBelowTheResolutionOfItsProducts) {
  constexpr int kSteps = 100;
  constexpr double kLr = 1e-6;
  const auto backend = OnEmulator();
  CompileRequest request;
  request.models.push_back({0, 0, ModelSpec({1}).Linear(1, /*bias=*/false)});
  request.loss = {"mse", {}};
  request.max_rows = 1;
  request.options["precision"] = std::string(NameOf(GetParam()));
  auto session = *backend->Compile(request);
  ASSERT_TRUE(session->SetOptimizer("sgd").ok());
  ASSERT_TRUE(
      session->WriteState(0, "param", "0.weight", ToTensor({1}, {1, 1})).ok());
  const auto dataset =
      *backend->CreateDataset(ToTensor({1}, {1, 1}), ToTensor({0}, {1, 1}));
  const std::vector<int32_t> rows = {0};
  const std::vector<Column> columns = {{"lr", {kLr}},
                                       {"momentum", {0}},
                                       {"dampening", {0}},
                                       {"weight_decay", {0}},
                                       {"nesterov", {0}}};
  StepRequest train;
  train.dataset = dataset.get();
  train.rows = {rows, {}};
  train.columns = columns;
  for (int step = 0; step < kSteps; ++step) {
    StepResult result;
    ASSERT_TRUE(session->TrainStep(train, &result).ok());
  }
  // The loss is w^2; to the product w is 1 all the while, and its gradient 2.
  ASSERT_EQ(RoundedTo(GetParam(), 1 - 2 * kLr * kSteps), 1);
  const Tensor w = *session->ReadState(0, "param", "0.weight");
  EXPECT_NEAR(w.data<float>()[0], 1 - 2 * kLr * kSteps,
              kSteps * std::ldexp(1, -25));
}

// A model's state has the bits that it has when it is trained alone.
TEST_P(Training, OfAModelAmongOthersHasItsBits) {
  int compared = 0, stepped = 0;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    RandomPopulation population(seed);
    Random random(seed + 500);
    population.request.options["precision"] = std::string(NameOf(GetParam()));
    const auto backend = OnEmulator();
    auto together = backend->Compile(population.request);
    if (!together.ok()) continue;  // a loss that its outputs do not fit
    const auto dataset = *backend->CreateDataset(population.features.Clone(),
                                                 population.targets.Clone());
    const std::string optimizer = random.Pick(OptimizerKinds());
    ASSERT_TRUE((*together)->SetOptimizer(optimizer).ok());
    const int models = static_cast<int>(population.request.models.size());
    std::vector<std::unique_ptr<Session>> alone;
    std::vector<std::vector<Parameter>> parameters;
    for (int m = 0; m < models; ++m) {
      CompileRequest request = population.request;
      request.models = {population.request.models[m]};
      alone.push_back(*backend->Compile(request));
      ASSERT_TRUE(alone[m]->SetOptimizer(optimizer).ok());
      parameters.push_back(InferLayout(request.models[0].spec)->parameters);
      for (const Parameter& p : parameters[m]) {
        Tensor value = Tensor::Zeros(DType::kFloat32, p.shape);
        for (int64_t e = 0; e < value.size(); ++e) {
          value.data<float>()[e] = 0.3f * random.Normal();
        }
        ASSERT_TRUE((*together)->WriteState(m, "param", p.name, value).ok());
        ASSERT_TRUE(alone[m]->WriteState(0, "param", p.name, value).ok());
      }
    }
    for (int step = 0; step < 3; ++step) {
      const auto rows = population.AnyRows(random, false);
      const std::vector<Column> columns =
          population.AnyColumns(random, optimizer);
      StepRequest request;
      request.dataset = dataset.get();
      request.rows = rows.set();
      request.columns = columns;
      StepResult result;
      ASSERT_TRUE((*together)->TrainStep(request, &result).ok());
      for (int m = 0; m < models; ++m) {
        StepRequest own = request;
        own.rows = {RowsOf(request.rows, m), {}};
        std::vector<Column> own_columns;
        for (const Column& column : columns) {
          own_columns.push_back({column.name, {column.values[m]}});
        }
        own.columns = own_columns;
        StepResult own_result;
        ASSERT_TRUE(alone[m]->TrainStep(own, &own_result).ok());
        EXPECT_EQ(result.outcomes[m], own_result.outcomes[0]);
        EXPECT_EQ(std::memcmp(&result.losses[m], &own_result.losses[0],
                              sizeof(float)),
                  0)
            << result.losses[m] << " and " << own_result.losses[0];
        stepped += result.outcomes[m] == Outcome::kStepped;
        for (const Parameter& p : parameters[m]) {
          const Tensor a = *(*together)->ReadState(m, "param", p.name);
          const Tensor b = *alone[m]->ReadState(0, "param", p.name);
          ASSERT_EQ(std::memcmp(a.raw(), b.raw(), a.byte_size()), 0)
              << "seed " << seed << ", model " << m << ", " << p.name;
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 300);  // it tested something
  EXPECT_GT(stepped, 100);
}

INSTANTIATE_TEST_SUITE_P(Precisions, Training,
                         ::testing::Values(Precision::kTf32, Precision::kBf16),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace modelbatch::cuda
