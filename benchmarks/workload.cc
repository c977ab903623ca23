#include "benchmarks/workload.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>

#include "benchmarks/check.h"
#include "modelbatch/model/initialize.h"
#include "modelbatch/util/philox.h"

namespace modelbatch::benchmarks {
namespace {

// Multiplications and additions of one row.
struct RowFlops {
  double forward = 0, step = 0;
};

// Elementwise operators count nothing; one with products must be here.
RowFlops FlopsPerRow(const ModelSpec& spec, const Layout& layout) {
  RowFlops flops;
  // Whether somebody wants the derivative by an operator's output.
  std::vector<bool> wanted(spec.operators().size());
  for (size_t o = 0; o < spec.operators().size(); ++o) {
    const Operator& op = spec.operators()[o];
    bool inputs_wanted = false;
    for (const int input : op.inputs) {
      inputs_wanted |= input != Operator::kModelInput && wanted[input];
    }
    int64_t parameters = 0;
    for (const Parameter& parameter : layout.parameters) {
      if (parameter.op == static_cast<int>(o)) {
        parameters += NumElements(parameter.shape);
      }
    }
    wanted[o] = inputs_wanted || parameters > 0;
    if (op.kind == "linear") {
      const int64_t in = NumElements(op.inputs[0] == Operator::kModelInput
                                         ? spec.input_shape()
                                         : layout.outputs[op.inputs[0]]);
      const double forward =
          2 * static_cast<double>(in) *
          static_cast<double>(NumElements(layout.outputs[o]));
      flops.forward += forward;
      flops.step += (inputs_wanted ? 3 : 2) * forward;
    } else if (parameters > 0 && op.kind != "layer_norm") {
      std::fprintf(stderr, "workload.cc has no FLOP count of \"%s\"\n",
                   op.kind.c_str());
      std::exit(1);
    }
  }
  return flops;
}

// Batch b is rows [b * max_rows, (b + 1) * max_rows); a model with rows of its
// own has some of them, from a place of its own on.
void MakeBatches(const WorkloadEntry& entry, Workload* workload) {
  std::mt19937 random(3);
  std::vector<int64_t> counts, starts;
  for (int i = 0; entry.rows != nullptr && i < workload->models(); ++i) {
    counts.push_back(entry.rows(random));
    starts.push_back(static_cast<int64_t>(random() % entry.max_rows));
  }
  for (int b = 0; b < Workload::kBatches; ++b) {
    const int64_t first = b * entry.max_rows;
    RoutedRows batch;
    if (entry.rows == nullptr) {
      for (int64_t r = 0; r < entry.max_rows; ++r) {
        batch.rows.push_back(static_cast<int32_t>(first + r));
      }
    } else {
      batch.offsets.push_back(0);
      for (int i = 0; i < workload->models(); ++i) {
        for (int64_t r = 0; r < counts[i]; ++r) {
          batch.rows.push_back(
              static_cast<int32_t>(first + (starts[i] + r) % entry.max_rows));
        }
        batch.offsets.push_back(static_cast<int64_t>(batch.rows.size()));
      }
    }
    workload->batches.push_back(std::move(batch));
  }
}

}  // namespace

int64_t Workload::Parameters(int first, int last) const {
  int64_t parameters = 0;
  for (int i = first; i < last; ++i) {
    parameters += layouts[i].num_parameters();
  }
  return parameters;
}

int64_t Workload::RowsPerStep() const {
  const int64_t rows = static_cast<int64_t>(batches[0].rows.size());
  return batches[0].shared() ? rows * models() : rows;
}

double Workload::Flops() const {
  double flops = 0;
  for (int i = 0; i < models(); ++i) {
    flops += static_cast<double>(batches[0].of(i).size()) *
             FlopsPerRow(specs[i], layouts[i]).step;
  }
  return flops;
}

double Workload::ForwardFlops() const {
  double flops = 0;
  for (int i = 0; i < models(); ++i) {
    flops += static_cast<double>(batches[0].of(i).size()) *
             FlopsPerRow(specs[i], layouts[i]).forward;
  }
  return flops;
}

bool Workload::HasDropout() const {
  for (const ModelSpec& spec : specs) {
    for (const Operator& op : spec.operators()) {
      if (op.kind == "dropout" && std::get<double>(op.attributes.at("p")) > 0) {
        return true;
      }
    }
  }
  return false;
}

Workload MakeWorkload(const WorkloadEntry& entry, int models) {
  Workload workload;
  workload.name = entry.name;
  workload.networks = entry.networks;
  workload.input = entry.input;
  workload.classes = entry.classes;
  workload.max_rows = entry.max_rows;
  std::mt19937 data(1), sizes(2);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int64_t> label(0, entry.classes - 1);
  const int64_t rows = Workload::kBatches * entry.max_rows;
  for (int64_t e = 0; e < rows * NumElements(entry.input); ++e) {
    workload.features.push_back(normal(data));
  }
  for (int64_t r = 0; r < rows; ++r) workload.labels.push_back(label(data));
  for (int i = 0; i < models; ++i) {
    workload.specs.push_back(entry.spec(sizes));
    Layout layout = Take(InferLayout(workload.specs.back()));
    workload.rates.push_back(1e-3 * std::pow(10.0, (i % 16) / 16.0 - 0.5));
    workload.seeds.push_back(DeriveSeed(5, static_cast<uint64_t>(i)));
    std::vector<float> values;
    for (size_t p = 0; p < layout.parameters.size(); ++p) {
      const Tensor value =
          InitialValue(layout, static_cast<int>(p), workload.seeds.back());
      values.insert(values.end(), value.data<float>(),
                    value.data<float>() + value.size());
    }
    workload.initial.push_back(std::move(values));
    workload.layouts.push_back(std::move(layout));
  }
  MakeBatches(entry, &workload);
  return workload;
}

Workload WithoutDropout(Workload workload) {
  for (ModelSpec& spec : workload.specs) {
    ModelSpec without(spec.input_shape());
    for (Operator op : spec.operators()) {
      if (op.kind == "dropout") op.attributes["p"] = 0.0;
      without.AddOperator(std::move(op));
    }
    spec = std::move(without);
  }
  return workload;
}

}  // namespace modelbatch::benchmarks
