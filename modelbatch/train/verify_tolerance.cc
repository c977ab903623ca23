#include "modelbatch/train/verify_tolerance.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/train_state.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kParam[] = "param";

double ToleranceOf(const std::string& slot) {
  return slot == kParam ? kParameterTolerance : kStateTolerance;
}

// Null: not there.
const Tensor* Find(const ModelState& state, const std::string& slot,
                   const std::string& parameter) {
  const auto tensors = state.slots.find(slot);
  if (tensors == state.slots.end()) return nullptr;
  const auto it = tensors->second.find(parameter);
  return it == tensors->second.end() ? nullptr : &it->second;
}

// |alone - batch| / |batch|, in double; 0 where both are zero, NaN where either
// is.
double RelativeDifference(const Tensor& alone, const Tensor& batch) {
  const float* const a = alone.data<float>();
  const float* const b = batch.data<float>();
  double difference = 0;
  double norm = 0;
  for (int64_t i = 0; i < batch.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

// The tensor that differs most, in units of its tolerance.
struct Worst {
  std::string name;  // empty: none differs at all
  double difference = 0;
  double tolerance = kParameterTolerance;

  // False also for NaN.
  bool allowed() const { return difference <= tolerance; }
  void Include(const std::string& slot, const std::string& parameter,
               double relative) {
    const double allowed = ToleranceOf(slot);
    if (!std::isnan(difference) &&
        !(relative / allowed <= difference / tolerance)) {
      *this = {absl::StrCat(slot, " ", parameter), relative, allowed};
    }
  }
};

Worst CompareTensors(const ModelState& alone, const ModelState& batch) {
  Worst worst;
  for (const auto& [slot, tensors] : batch.slots) {
    for (const auto& [parameter, tensor] : tensors) {
      // A state that is left out is zeros.
      const Tensor* const own = Find(alone, slot, parameter);
      const Tensor zeros = Tensor::Zeros(tensor.dtype(), tensor.shape());
      worst.Include(slot, parameter,
                    RelativeDifference(own == nullptr ? zeros : *own, tensor));
    }
  }
  for (const auto& [slot, tensors] : alone.slots) {
    for (const auto& [parameter, tensor] : tensors) {
      if (Find(batch, slot, parameter) != nullptr) continue;
      worst.Include(slot, parameter,
                    RelativeDifference(
                        tensor, Tensor::Zeros(tensor.dtype(), tensor.shape())));
    }
  }
  return worst;
}

// What must be equal, rounding or not; empty when it is.
std::string ExactDifference(const ModelRecord& alone_record,
                            const ModelState& alone, const ModelRecord& record,
                            const ModelState& batch) {
  if (record.frozen_step != alone_record.frozen_step ||
      record.frozen_reason != alone_record.frozen_reason) {
    const auto describe = [](const ModelRecord& r) -> std::string {
      if (!r.frozen()) return "not frozen";
      return absl::StrCat("frozen in step ", r.frozen_step, " (",
                          r.frozen_reason, ")");
    };
    return absl::StrCat(describe(record), " in the batch, ",
                        describe(alone_record), " alone");
  }
  if (batch.step == alone.step) return "";
  return absl::StrCat(batch.step, " updates in the batch, ", alone.step,
                      " alone");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> TrainFirstSteps(
    const Experiment& experiment, int64_t steps, Backend* backend) {
  MB_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer,
                      Trainer::Create(&experiment, backend));
  while (!trainer->finished() && trainer->state().step < steps) {
    MB_RETURN_IF_ERROR(trainer->Step());
  }
  return trainer;
}

absl::StatusOr<VerifyReport> VerifyWithinTolerance(const Experiment& experiment,
                                                   int64_t id, Trainer* batch,
                                                   Backend* backend) {
  VerifyReport report;
  MB_ASSIGN_OR_RETURN(report.index, IndexOfModel(experiment, id));
  const int64_t steps = batch->state().step;
  const Experiment single = SingleModel(experiment, report.index);
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                      TrainFirstSteps(single, steps, backend));
  MB_ASSIGN_OR_RETURN(const ModelState alone,
                      trainer->batch().GetModelState(0));
  MB_ASSIGN_OR_RETURN(const ModelState among,
                      batch->batch().GetModelState(report.index));
  const std::string exact =
      ExactDifference(trainer->state().models[0], alone,
                      batch->state().models[report.index], among);
  if (!exact.empty()) {
    report.text = absl::StrCat("differs after ", steps, " steps: ", exact);
    return report;
  }
  const Worst worst = CompareTensors(alone, among);
  report.passed = worst.allowed();
  report.text =
      worst.name.empty()
          ? absl::StrCat("equal bit for bit after ", steps, " steps")
          : absl::StrFormat(
                "%s after %d steps: %s differs most, by %.2g of its norm, "
                "allowed %g",
                report.passed ? "within tolerance" : "differs", steps,
                worst.name, worst.difference, worst.tolerance);
  return report;
}

}  // namespace modelbatch
