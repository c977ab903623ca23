#include "backends/grouped/testing/random_population.h"

#include <utility>

#include "modelbatch/loss/loss.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch::grouped::testing {
namespace {

AttributeValue ListOf(Random& random, int64_t size) {
  std::vector<double> values;
  for (int64_t i = 0; i < size; ++i) {
    values.push_back(random.OneIn(6) ? 0 : random.Uniform(0.1, 3));
  }
  return values;
}

// One operator of a graph; widths are drawn for each model.
struct Step {
  std::string kind;
  int other = 0;      // add
  bool bias = true;   // linear
  bool last = false;  // linear to the outputs
};

// Ends with a layer of the outputs, and perhaps with something after it.
std::vector<Step> AnyGraph(Random& random, bool flatten) {
  std::vector<Step> steps;
  std::vector<int> width;  // by operator: number of the linear layer it is of
  const auto add = [&](Step step, int of) {
    steps.push_back(std::move(step));
    width.push_back(of);
  };
  int linear = 0;
  if (flatten) add({"flatten"}, 0);
  const auto other = [&](const std::string& kind) {
    Step step{kind};
    const int last = static_cast<int>(steps.size()) - 1;
    if (kind == "add") {
      std::vector<int> same;
      for (int i = 0; i <= last; ++i) {
        if (width[i] == width[last]) same.push_back(i);
      }
      step.other = random.Pick(same);
    }
    add(step, width[last]);
  };
  const std::vector<std::string> kinds = {
      "relu",    "relu",    "gelu",       "gelu_tanh",  "tanh",
      "sigmoid", "dropout", "layer_norm", "layer_norm", "add"};
  // Something on the rows themselves.
  if (random.OneIn(4)) {
    const std::string kind =
        random.Pick<std::string>({"relu", "gelu", "dropout", "layer_norm"});
    add({kind}, 0);
  }
  const int64_t layers = random.Int(0, 3);
  for (int64_t l = 0; l < layers; ++l) {
    if (l > 0 && random.OneIn(3)) {
      // Three operators: two layers and their sum.
      add({random.OneIn(2) ? "fork" : "fork_before"}, ++linear);
      width.insert(width.end(), 2, linear);
      steps.insert(steps.end(), 2, Step{"of the fork"});
    } else {
      add({"linear", 0, !random.OneIn(4)}, ++linear);
    }
    for (int64_t i = random.Int(0, 3); i > 0; --i) other(random.Pick(kinds));
  }
  add({"linear", 0, !random.OneIn(5), true}, ++linear);
  while (random.OneIn(3)) other(random.Pick(kinds));
  return steps;
}

// The sum of two layers, of which one reads the last output and one it too, or,
// `before`, what the last operator reads.
void Fork(bool before, int64_t width, ModelSpec* spec) {
  const int last = spec->last();
  const Operator& op = spec->operators()[last];
  const int other = before && op.inputs[0] >= 0 ? op.inputs[0] : last;
  const auto linear = [&](int input) {
    return spec->AddOperator(
        {"", "linear", {input}, {{"out_features", width}}});
  };
  const int first = linear(other), second = linear(last);
  spec->AddOperator({"", "add", {first, second}, {}});
}

}  // namespace

int64_t Random::Width() {
  switch (Int(0, 4)) {
    case 0:
      return Int(1, 9);
    case 1:
      return Pick<int64_t>({15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129});
    default:
      return Int(1, OneIn(4) ? 150 : 40);
  }
}

LossSpec AnyLoss(Random& random, int64_t outputs) {
  std::vector<std::string> kinds;
  for (const LossInfo& info : Losses()) kinds.push_back(info.kind);
  LossSpec loss{random.Pick(kinds), {}};
  for (const LossAttribute& attribute : FindLoss(loss.kind)->attributes) {
    if (random.OneIn(2)) continue;
    if (attribute.name == "ignore_index") {
      loss.attributes[attribute.name] = random.Int(0, outputs);
    } else if (attribute.name == "label_smoothing") {
      loss.attributes[attribute.name] = random.Uniform(0, 1);
    } else if (attribute.type == LossAttribute::Type::kFloat) {
      loss.attributes[attribute.name] = random.Uniform(0.2, 2);
    } else {
      loss.attributes[attribute.name] = ListOf(random, outputs);
    }
  }
  return loss;
}

RandomPopulation::RandomPopulation(uint64_t seed) {
  Random random(seed);
  outputs = random.OneIn(4) ? random.Width() : random.Int(1, 12);
  dataset_rows = random.Int(20, 90);
  const bool flatten = random.OneIn(4);
  const Shape input = flatten ? Shape{random.Int(1, 7), random.Int(1, 9)}
                              : Shape{random.Width()};
  const std::vector<Step> steps = AnyGraph(random, flatten);
  const int64_t models = random.Int(1, 6);
  for (int64_t m = 0; m < models; ++m) {
    ModelSpec spec(input);
    for (const Step& step : steps) {
      if (step.kind == "linear") {
        spec.Linear(step.last ? outputs : random.Width(), step.bias);
      } else if (step.kind == "relu") {
        spec.Relu();
      } else if (step.kind == "gelu") {
        spec.Gelu();
      } else if (step.kind == "gelu_tanh") {
        spec.Gelu("tanh");
      } else if (step.kind == "tanh") {
        spec.Tanh();
      } else if (step.kind == "sigmoid") {
        spec.Sigmoid();
      } else if (step.kind == "dropout") {
        spec.Dropout(random.OneIn(8) ? static_cast<double>(random.Int(0, 1))
                                     : random.Uniform(0, 0.9));
      } else if (step.kind == "layer_norm") {
        spec.LayerNorm(random.Uniform(1e-6, 1e-2));
      } else if (step.kind == "flatten") {
        spec.Flatten();
      } else if (step.kind == "fork" || step.kind == "fork_before") {
        Fork(step.kind == "fork_before", random.Width(), &spec);
      } else if (step.kind == "of the fork") {
        continue;
      } else {
        spec.Add(step.other);
      }
    }
    request.models.push_back({100 + 7 * m,
                              static_cast<uint64_t>(random.Int(0, 1 << 30)) *
                                  static_cast<uint64_t>(random.Int(1, 1 << 30)),
                              spec});
  }
  request.loss = AnyLoss(random, outputs);
  request.max_rows =
      random.OneIn(5) ? random.Int(1, 3) : random.Int(1, dataset_rows);

  Shape shape = input;
  shape.insert(shape.begin(), dataset_rows);
  features = Tensor::Zeros(DType::kFloat32, shape);
  for (int64_t e = 0; e < features.size(); ++e) {
    features.data<float>()[e] = random.OneIn(9) ? 0.0f : random.Normal();
  }
  if (FindLoss(request.loss.kind)->classes) {
    targets = Tensor::Zeros(DType::kInt64, {dataset_rows});
    for (int64_t e = 0; e < dataset_rows; ++e) {
      targets.data<int64_t>()[e] = random.Int(0, outputs - 1);
    }
  } else {
    targets = Tensor::Zeros(DType::kFloat32, {dataset_rows, outputs});
    for (int64_t e = 0; e < targets.size(); ++e) {
      targets.data<float>()[e] = static_cast<float>(random.Uniform(0, 1));
    }
  }
}

RandomPopulation::Rows RandomPopulation::AnyRows(Random& random,
                                                 bool for_evaluation) const {
  const int64_t most =
      for_evaluation ? 2 * request.max_rows + 3 : request.max_rows;
  Rows rows;
  const auto add = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      rows.rows.push_back(
          static_cast<int32_t>(random.Int(0, dataset_rows - 1)));
    }
  };
  if (random.OneIn(3)) {
    add(random.Int(0, most));
    return rows;
  }
  rows.offsets.push_back(0);
  for (size_t m = 0; m < request.models.size(); ++m) {
    add(random.OneIn(5) ? 0 : random.Int(1, most));
    rows.offsets.push_back(static_cast<int64_t>(rows.rows.size()));
  }
  return rows;
}

std::vector<Column> RandomPopulation::AnyColumns(
    Random& random, const std::string& optimizer) const {
  std::vector<Column> columns;
  const auto add = [&](const std::string& name, auto value) {
    Column column{name, {}};
    for (size_t m = 0; m < request.models.size(); ++m) {
      column.values.push_back(value());
    }
    columns.push_back(std::move(column));
  };
  const auto maybe = [&](double low, double high) {
    return random.OneIn(3) ? 0.0 : random.Uniform(low, high);
  };
  const auto flag = [&] { return random.OneIn(2) ? 1.0 : 0.0; };
  // Nesterov wants momentum and no dampening.
  std::vector<double> nesterov;
  for (size_t m = 0; m < request.models.size(); ++m) {
    nesterov.push_back(optimizer == "sgd" ? flag() : 0);
  }
  for (const HyperParameter& h :
       (*FindOptimizer(optimizer))->hyper_parameters) {
    if (h.optional && random.OneIn(2)) continue;
    size_t m = 0;
    add(h.name, [&]() -> double {
      const bool is_nesterov = nesterov[m++] != 0;
      if (h.name == "nesterov") return is_nesterov ? 1 : 0;
      if (h.name == "dampening") return is_nesterov ? 0 : maybe(0, 0.5);
      if (h.name == "momentum") {
        return is_nesterov ? random.Uniform(0.1, 0.9) : maybe(0.1, 0.9);
      }
      if (h.flag) return flag();
      if (h.name == "lr") return random.Uniform(1e-4, 0.05);
      if (h.name == "eps") return random.Uniform(1e-8, 1e-4);
      if (h.name == "beta1") return random.OneIn(3) ? 0.3 : 0.9;
      if (h.name == "beta2" || h.name == "alpha" || h.name == "rho") {
        return random.Uniform(0.6, 0.9999);
      }
      return maybe(0, 0.1);  // decays and the like
    });
  }
  if (random.OneIn(2)) {
    // 1e39 is infinite as a float.
    add("gradient_scale", [&] {
      return random.OneIn(12) ? 1e39 : random.OneIn(2) ? 1.0 : 0.5;
    });
  }
  if (random.OneIn(2))
    add("clip_value", [&] { return random.Uniform(0.01, 1); });
  if (random.OneIn(2))
    add("clip_norm", [&] { return random.Uniform(0.01, 2); });
  return columns;
}

}  // namespace modelbatch::grouped::testing
