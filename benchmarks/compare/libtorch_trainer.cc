#include "benchmarks/libtorch_trainer.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace modelbatch::benchmarks {
namespace {

// The loop that a LibTorch user writes, at its best: batches sliced before, no
// copies, no bookkeeping in between.
class LibTorchTrainer : public Trainer {
 public:
  LibTorchTrainer(const Workload& workload, int first, int last,
                  const LibTorchOptions& options)
      : options_(options) {
    at::set_num_threads(options.threads);
    for (int64_t b = 0; b < Workload::kBatches; ++b) {
      const int64_t row = b * Workload::kRows;
      features_.push_back(
          torch::tensor(at::ArrayRef<float>(
                            workload.features.data() + row * Workload::kInputs,
                            Workload::kRows * Workload::kInputs))
              .view({Workload::kRows, Workload::kInputs}));
      classes_.push_back(torch::tensor(at::ArrayRef<int64_t>(
          workload.classes.data() + row, Workload::kRows)));
    }
    for (int i = first; i < last; ++i) {
      Model model;
      const std::vector<int64_t> widths = workload.Widths(i);
      model.module = torch::nn::Sequential();
      for (size_t l = 0; l + 1 < widths.size(); ++l) {
        if (l > 0) model.module->push_back(torch::nn::ReLU());
        model.module->push_back(torch::nn::Linear(widths[l], widths[l + 1]));
      }
      model.parameters = model.module->parameters();
      model.rate = workload.rates[i];
      model.initial = workload.initial[i].data();
      models_.push_back(std::move(model));
    }
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
      const int64_t b = step % Workload::kBatches;
      for (Model& model : models_) {
        model.optimizer->zero_grad();
        const torch::Tensor loss = torch::nn::functional::cross_entropy(
            model.module->forward(features_[b]), classes_[b]);
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
  struct Model {
    torch::nn::Sequential module{nullptr};
    std::vector<torch::Tensor> parameters;
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
  std::vector<torch::Tensor> features_, classes_;
  std::vector<Model> models_;
};

}  // namespace

std::unique_ptr<Trainer> MakeLibTorchTrainer(const Workload& workload,
                                             int first, int last,
                                             const LibTorchOptions& options) {
  return std::make_unique<LibTorchTrainer>(workload, first, last, options);
}

}  // namespace modelbatch::benchmarks
