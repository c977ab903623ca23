#include "benchmarks/compare/libtorch_trainer.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

// A chain of operators as a module.
absl::StatusOr<torch::nn::Sequential> MakeModule(const ModelSpec& spec,
                                                 const Layout& layout) {
  torch::nn::Sequential module;
  for (int o = 0; o <= spec.last(); ++o) {
    const Operator& op = spec.operators()[o];
    if (op.inputs != std::vector<int>{o - 1}) {
      return absl::UnimplementedError(
          absl::StrCat("operator \"", op.name, "\" is not on a chain"));
    }
    const Shape& in = o == 0 ? spec.input_shape() : layout.outputs[o - 1];
    if (op.kind == "linear") {
      module->push_back(torch::nn::Linear(
          torch::nn::LinearOptions(in.back(), layout.outputs[o].back())
              .bias(std::get<bool>(op.attributes.at("bias")))));
    } else if (op.kind == "relu") {
      module->push_back(torch::nn::ReLU());
    } else if (op.kind == "gelu") {
      module->push_back(torch::nn::GELU(torch::nn::GELUOptions().approximate(
          std::get<std::string>(op.attributes.at("approximate")))));
    } else if (op.kind == "layer_norm") {
      module->push_back(torch::nn::LayerNorm(
          torch::nn::LayerNormOptions({in.back()})
              .eps(std::get<double>(op.attributes.at("eps")))));
    } else if (op.kind == "dropout") {
      module->push_back(
          torch::nn::Dropout(std::get<double>(op.attributes.at("p"))));
    } else {
      return absl::UnimplementedError(absl::StrCat(
          "libtorch_trainer.cc has no operator \"", op.kind, "\""));
    }
  }
  return module;
}

// The loop that a LibTorch user writes, at its best: batches sliced before, no
// copies, no bookkeeping in between.
class LibTorchTrainer : public Trainer {
 public:
  explicit LibTorchTrainer(const LibTorchOptions& options) : options_(options) {
    at::set_num_threads(options.threads);
  }

  absl::Status Build(const Workload& workload, int first, int last) {
    std::vector<int64_t> shape = {workload.num_rows()};
    shape.insert(shape.end(), workload.input.begin(), workload.input.end());
    features_ =
        torch::tensor(at::ArrayRef<float>(workload.features)).view(shape);
    labels_ = torch::tensor(at::ArrayRef<int64_t>(workload.labels));
    for (int i = first; i < last; ++i) {
      Model model;
      MB_ASSIGN_OR_RETURN(model.module,
                          MakeModule(workload.specs[i], workload.layouts[i]));
      model.parameters = model.module->parameters();
      model.rate = workload.rates[i];
      model.initial = workload.initial[i].data();
      for (const RoutedRows& batch : workload.batches) {
        // Models with the same rows share the batch.
        if (batch.shared() && i > first) {
          model.batches = models_[0].batches;
          break;
        }
        const auto rows = batch.of(i);
        const torch::Tensor index =
            torch::tensor(at::ArrayRef<int32_t>(rows.data(), rows.size()));
        model.batches.push_back(
            {features_.index_select(0, index), labels_.index_select(0, index)});
      }
      models_.push_back(std::move(model));
    }
    return absl::OkStatus();
  }

  void Reset() override {
    const torch::NoGradGuard no_grad;
    for (Model& model : models_) {
      const float* from = model.initial;
      for (torch::Tensor& parameter : model.parameters) {
        std::copy_n(from, parameter.numel(), parameter.data_ptr<float>());
        from += parameter.numel();
        parameter.mutable_grad() = torch::Tensor();
      }
      model.optimizer = std::make_unique<torch::optim::Adam>(
          model.parameters, torch::optim::AdamOptions(model.rate));
      if (!options_.fused) continue;
      model.averages.clear();
      model.squares.clear();
      model.steps.clear();
      for (const torch::Tensor& parameter : model.parameters) {
        model.averages.push_back(torch::zeros_like(parameter));
        model.squares.push_back(torch::zeros_like(parameter));
        model.steps.push_back(torch::zeros({}));
      }
    }
  }

  void Run(int steps) override {
    for (int step = 0; step < steps; ++step) {
      for (Model& model : models_) {
        const Batch& batch = model.batches[step % Workload::kBatches];
        model.optimizer->zero_grad();
        const torch::Tensor loss = torch::nn::functional::cross_entropy(
            model.module->forward(batch.features), batch.labels);
        loss.backward();
        if (options_.fused) {
          FusedStep(model);
        } else {
          model.optimizer->step();
        }
      }
    }
  }

  void CopyWeights(float* out) override {
    for (const Model& model : models_) {
      for (const torch::Tensor& parameter : model.parameters) {
        out = std::copy_n(parameter.data_ptr<float>(), parameter.numel(), out);
      }
    }
  }

 private:
  struct Batch {
    torch::Tensor features, labels;
  };
  struct Model {
    torch::nn::Sequential module{nullptr};
    std::vector<torch::Tensor> parameters;
    std::vector<Batch> batches;
    double rate = 0;
    const float* initial = nullptr;
    std::unique_ptr<torch::optim::Adam> optimizer;
    std::vector<torch::Tensor> averages, squares, steps;  // fused
  };

  static void FusedStep(Model& model) {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> grads;
    for (size_t p = 0; p < model.parameters.size(); ++p) {
      grads.push_back(model.parameters[p].grad());
      model.steps[p] += 1;
    }
    at::_fused_adam_(model.parameters, grads, model.averages, model.squares, {},
                     model.steps, model.rate, /*beta1=*/0.9, /*beta2=*/0.999,
                     /*weight_decay=*/0, /*eps=*/1e-8, /*amsgrad=*/false,
                     /*maximize=*/false);
  }

  const LibTorchOptions options_;
  torch::Tensor features_, labels_;
  std::vector<Model> models_;
};

class LibTorchSgemm : public Trainer {
 public:
  explicit LibTorchSgemm(int64_t size) {
    at::set_num_threads(1);
    a_ = torch::rand({size, size});
    b_ = torch::rand({size, size});
    c_ = torch::zeros({size, size});
  }
  void Reset() override {}
  void Run(int steps) override {
    const torch::NoGradGuard no_grad;
    for (int step = 0; step < steps; ++step) at::mm_out(c_, a_, b_);
  }
  void CopyWeights(float*) override {}

 private:
  torch::Tensor a_, b_, c_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> MakeLibTorchTrainer(
    const Workload& workload, int first, int last,
    const LibTorchOptions& options) {
  auto trainer = std::make_unique<LibTorchTrainer>(options);
  MB_RETURN_IF_ERROR(trainer->Build(workload, first, last));
  return trainer;
}

std::unique_ptr<Trainer> MakeLibTorchSgemm(int64_t size) {
  return std::make_unique<LibTorchSgemm>(size);
}

std::string LibTorchVersion() { return TORCH_VERSION; }

}  // namespace modelbatch::benchmarks
