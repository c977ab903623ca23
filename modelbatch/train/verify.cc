#include "modelbatch/train/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// "[5, 17]": where element `index` of a tensor of this shape lies.
std::string Coordinates(const Shape& shape, int64_t index) {
  Shape at(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    at[d] = index % shape[d];
    index /= shape[d];
  }
  return ShapeToString(at);
}

template <typename T, typename Bits>
std::string Both(T run, T alone) {
  Bits bits_run;
  Bits bits_alone;
  std::memcpy(&bits_run, &run, sizeof(run));
  std::memcpy(&bits_alone, &alone, sizeof(alone));
  return absl::StrFormat(
      "0x%0*x (%.17g) in the run, 0x%0*x (%.17g) alone",
      static_cast<int>(2 * sizeof(T)), static_cast<uint64_t>(bits_run),
      static_cast<double>(run), static_cast<int>(2 * sizeof(T)),
      static_cast<uint64_t>(bits_alone), static_cast<double>(alone));
}

class Comparison {
 public:
  // Each returns whether the two are equal, and keeps the first difference.
  bool Tensors(const std::string& name, const Tensor& run,
               const Tensor& alone) {
    if (run.dtype() != alone.dtype() || run.shape() != alone.shape()) {
      return Differ(absl::StrCat(name, ": ", DTypeName(run.dtype()), " ",
                                 ShapeToString(run.shape()), " in the run, ",
                                 DTypeName(alone.dtype()), " ",
                                 ShapeToString(alone.shape()), " alone"));
    }
    elements_ += run.size();
    ++tensors_;
    if (run.byte_size() == 0 ||
        std::memcmp(run.raw(), alone.raw(), run.byte_size()) == 0) {
      return true;
    }
    if (run.dtype() != DType::kFloat32) return Differ(name + ": bytes differ");
    return Differ(DescribeFloats(name, run, alone));
  }

  bool Maps(const std::string& name, const std::map<std::string, Tensor>& run,
            const std::map<std::string, Tensor>& alone) {
    if (run.size() != alone.size()) {
      return Differ(absl::StrCat(name, ": ", run.size(),
                                 " tensors in the run, ", alone.size(),
                                 " alone"));
    }
    for (const auto& [parameter, tensor] : run) {
      const auto it = alone.find(parameter);
      const std::string full = absl::StrCat(name, " ", parameter);
      if (it == alone.end()) return Differ(full + ": missing alone");
      if (!Tensors(full, tensor, it->second)) return false;
    }
    return true;
  }

  bool Ints(const std::string& name, int64_t run, int64_t alone) {
    if (run == alone) return true;
    return Differ(
        absl::StrCat(name, ": ", run, " in the run, ", alone, " alone"));
  }

  // NaN, which stands for "none", equals NaN.
  bool Doubles(const std::string& name, double run, double alone) {
    if (std::memcmp(&run, &alone, sizeof(run)) == 0) return true;
    return Differ(absl::StrCat(name, ": ", Both<double, uint64_t>(run, alone)));
  }

  bool Scores(const std::string& name, const Score& run, const Score& alone) {
    return Doubles(name + " loss", run.loss, alone.loss) &&
           Ints(name + " correct rows", run.correct, alone.correct);
  }

  const std::string& difference() const { return difference_; }
  int64_t elements() const { return elements_; }
  int64_t tensors() const { return tensors_; }

 private:
  bool Differ(const std::string& text) {
    difference_ = text;
    return false;
  }

  static std::string DescribeFloats(const std::string& name, const Tensor& run,
                                    const Tensor& alone) {
    const float* a = run.data<float>();
    const float* b = alone.data<float>();
    int64_t first = -1;
    int64_t count = 0;
    double most = 0;
    for (int64_t i = 0; i < run.size(); ++i) {
      if (std::memcmp(a + i, b + i, sizeof(float)) == 0) continue;
      if (first < 0) first = i;
      ++count;
      const double difference =
          std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      most = std::max(most, difference);
    }
    return absl::StrCat(name, Coordinates(run.shape(), first), ": ",
                        Both<float, uint32_t>(a[first], b[first]), "; ", count,
                        " of ", run.size(), " elements differ, by ",
                        absl::StrFormat("%.3g", most), " at most");
  }

  std::string difference_;
  int64_t elements_ = 0;
  int64_t tensors_ = 0;
};

// What the run has of a model that is frozen: nothing after it.
EpochCurve NoCurve() {
  EpochCurve curve;
  curve.train_loss = {Score().loss};
  curve.validation.resize(1);
  return curve;
}

bool CompareRecords(const ModelRecord& run, const ModelRecord& alone,
                    Comparison* compare) {
  return compare->Ints("step in which it was frozen", run.frozen_step,
                       alone.frozen_step) &&
         compare->Ints("reason why it was frozen",
                       static_cast<int>(run.frozen_outcome),
                       static_cast<int>(alone.frozen_outcome)) &&
         compare->Ints("best epoch", run.best_epoch, alone.best_epoch) &&
         compare->Scores("best validation", run.best_validation,
                         alone.best_validation) &&
         compare->Scores("best test", run.best_test, alone.best_test) &&
         compare->Maps("best weights", run.best, alone.best);
}

bool CompareCurves(const TrainState& run, int index, const TrainState& alone,
                   Comparison* compare) {
  const EpochCurve none = NoCurve();
  for (size_t epoch = 0; epoch < run.curves.size(); ++epoch) {
    const bool trained = epoch < alone.curves.size();
    const EpochCurve& single = trained ? alone.curves[epoch] : none;
    const std::string name = absl::StrCat("epoch ", epoch + 1, ": ");
    if (!compare->Doubles(name + "training loss",
                          run.curves[epoch].train_loss[index],
                          single.train_loss[0]) ||
        !compare->Scores(name + "validation",
                         run.curves[epoch].validation[index],
                         single.validation[0])) {
      return false;
    }
  }
  return true;
}

bool CompareStates(const ModelState& run, const ModelState& alone,
                   Comparison* compare) {
  if (!compare->Ints("step count", run.step, alone.step)) return false;
  if (!compare->Ints("number of slots", run.slots.size(), alone.slots.size())) {
    return false;
  }
  for (const auto& [slot, tensors] : alone.slots) {
    const auto it = run.slots.find(slot);
    static const auto* const kNone = new std::map<std::string, Tensor>;
    if (!compare->Maps(slot, it == run.slots.end() ? *kNone : it->second,
                       tensors)) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<VerifyReport> VerifyModel(const Experiment& experiment,
                                         const Checkpoint& checkpoint,
                                         int64_t id, Backend* backend) {
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  MB_ASSIGN_OR_RETURN(const int index, IndexOfModel(experiment, id));
  const Experiment single = SingleModel(experiment, index);
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                      Trainer::Create(&single, backend));
  while (!trainer->finished() &&
         trainer->state().step < checkpoint.state.step) {
    MB_RETURN_IF_ERROR(trainer->Step());
  }
  MB_ASSIGN_OR_RETURN(const ModelState alone,
                      trainer->batch().GetModelState(0));
  Comparison compare;
  VerifyReport report;
  report.index = index;
  report.passed =
      CompareCurves(checkpoint.state, index, trainer->state(), &compare) &&
      CompareRecords(checkpoint.state.models[index], trainer->state().models[0],
                     &compare) &&
      CompareStates(checkpoint.models[index], alone, &compare);
  if (report.passed) {
    report.text = absl::StrCat(
        "equal bit for bit: ", compare.elements(), " values in ",
        compare.tensors(),
        " tensors (weights, optimizer state, best weights), ", alone.step,
        " updates, ", trainer->state().curves.size(), " epochs of curves");
  } else {
    report.text = absl::StrCat("differs: ", compare.difference());
  }
  return report;
}

}  // namespace modelbatch
