#include "tests/conformance/gradients_fixture.h"

#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace modelbatch::conformance {

std::vector<double> Doubles(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

DoubleGradients Kept(Population& population, size_t m, double factor) {
  DoubleGradients result;
  for (const auto& [name, values] : population.Gradients(m)) {
    for (const float g : values) result[name].push_back(factor * g);
  }
  return result;
}

void Gradients::SetUp() {
  ConformanceTest::SetUp();
  if (IsSkipped()) return;
  MB_REQUIRES(HasOperator("linear") && HasOperator("relu") && HasLoss("mse") &&
              HasOptimizer("sgd"));
  exact_ = HasFeature("bitwise_independence");
  data_ = Get(backend().CreateDataset(features_.Clone(), targets_.Clone()));
}

Population Gradients::Make(const std::string& optimizer) {
  std::vector<ModelInstance> models;
  for (int m = 0; m < kModels; ++m) {
    ModelSpec spec({kFeatures});
    spec.Linear(HasFeature("mixed_widths") ? 4 + 9 * m : 4)
        .Relu()
        .Linear(kOutputs);
    models.push_back({m, static_cast<uint64_t>(m), spec});
  }
  Population population(backend(), models, "mse", kMaxRows);
  population.WriteNoise();
  population.SetOptimizer(optimizer);
  return population;
}

std::vector<Tensor> Gradients::OutputGradients(uint64_t stream,
                                               const RowSet& rows) {
  std::vector<Tensor> result;
  for (size_t m = 0; m < kModels; ++m) {
    result.push_back(NoiseTensor(
        stream + m, {static_cast<int64_t>(RowsOf(rows, m).size()), kOutputs}));
  }
  return result;
}

void Gradients::AddFormula(Population& population, size_t m, const RowSet& rows,
                           const Tensor& output_gradient,
                           DoubleGradients* sum) const {
  const std::vector<double> w0 =
      Doubles(population.Read(m, "param", "0.weight"));
  const std::vector<double> b0 = Doubles(population.Read(m, "param", "0.bias"));
  const std::vector<double> w2 =
      Doubles(population.Read(m, "param", "2.weight"));
  const size_t width = b0.size();
  auto& dw0 = (*sum)["0.weight"];
  auto& db0 = (*sum)["0.bias"];
  auto& dw2 = (*sum)["2.weight"];
  auto& db2 = (*sum)["2.bias"];
  dw0.resize(w0.size()), db0.resize(width);
  dw2.resize(w2.size()), db2.resize(kOutputs);
  const absl::Span<const int32_t> own = RowsOf(rows, m);
  for (size_t r = 0; r < own.size(); ++r) {
    const float* const x = features_.data<float>() + own[r] * kFeatures;
    const float* const dy = output_gradient.data<float>() + r * kOutputs;
    for (int64_t j = 0; j < kOutputs; ++j) db2[j] += dy[j];
    for (size_t h = 0; h < width; ++h) {
      double hidden = b0[h];
      for (int64_t k = 0; k < kFeatures; ++k) {
        hidden += w0[h * kFeatures + k] * x[k];
      }
      if (hidden <= 0) continue;
      double dh = 0;
      for (int64_t j = 0; j < kOutputs; ++j) {
        dw2[j * width + h] += dy[j] * hidden;
        dh += dy[j] * w2[j * width + h];
      }
      db0[h] += dh;
      for (int64_t k = 0; k < kFeatures; ++k) {
        dw0[h * kFeatures + k] += dh * x[k];
      }
    }
  }
}

void Gradients::ExpectGradients(Population& population, size_t m,
                                const DoubleGradients& expected) {
  const auto got = population.Gradients(m);
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [name, values] : got) {
    const std::vector<double>& formula = expected.at(name);
    ASSERT_EQ(values.size(), formula.size());
    double error = 0, norm = 0;
    for (size_t e = 0; e < values.size(); ++e) {
      error += (values[e] - formula[e]) * (values[e] - formula[e]);
      norm += formula[e] * formula[e];
    }
    EXPECT_GT(norm, 0) << "the test sees nothing";
    EXPECT_LE(std::sqrt(error), 1e-5 * std::sqrt(norm))
        << "model " << m << ", " << name;
  }
}

void Gradients::ExpectZeroGradients(Population& population, size_t m) {
  for (const auto& [name, values] : population.Gradients(m)) {
    EXPECT_EQ(values, std::vector<float>(values.size(), 0.0f))
        << "model " << m << ", " << name;
  }
}

void Gradients::ExpectNoGradients(Population& population) {
  for (size_t m = 0; m < population.size(); ++m) {
    const absl::Status status =
        population.session().ReadState(m, "grad", "0.bias").status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  }
  Outcomes outcomes;
  const std::vector<Column> columns = population.Columns();
  const absl::Status status =
      population.session().Update({columns, {}}, &outcomes);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

void Gradients::ExpectUnchanged(Population& population,
                                const std::vector<Snapshot>& before,
                                const std::string& what) {
  for (size_t m = 0; m < population.size(); ++m) {
    ExpectSameState(population.Save(m), before[m], true,
                    what + ", model " + std::to_string(m));
  }
}

}  // namespace modelbatch::conformance
