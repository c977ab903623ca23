#include "modelbatch/train/failing_backend.h"

#include <new>
#include <optional>
#include <stdexcept>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

class FailingSession : public Session {
 public:
  FailingSession(FailingBackend* backend, std::unique_ptr<Session> session)
      : backend_(backend), session_(std::move(session)) {}

  absl::Status SetOptimizer(const std::string& optimizer) override {
    MB_RETURN_IF_ERROR(backend_->Check("SetOptimizer"));
    return session_->SetOptimizer(optimizer);
  }
  absl::Status TrainStep(const StepRequest& request,
                         StepResult* result) override {
    MB_RETURN_IF_ERROR(backend_->Check("TrainStep"));
    return session_->TrainStep(request, result);
  }
  // One by one: any of them may fail.
  absl::Status TrainSteps(const StepsRequest& request,
                          StepsResult* result) override {
    result->made = 0;
    MB_RETURN_IF_ERROR(backend_->Check("TrainSteps"));
    return Session::TrainSteps(request, result);
  }
  absl::Status Evaluate(const EvaluateRequest& request,
                        EvaluateResult* result) override {
    MB_RETURN_IF_ERROR(backend_->Check("Evaluate"));
    return session_->Evaluate(request, result);
  }
  absl::Status Forward(const ForwardRequest& request,
                       std::vector<Tensor>* outputs) override {
    MB_RETURN_IF_ERROR(backend_->Check("Forward"));
    return session_->Forward(request, outputs);
  }
  absl::Status Backward(const BackwardRequest& request,
                        std::vector<Outcome>* outcomes) override {
    MB_RETURN_IF_ERROR(backend_->Check("Backward"));
    return session_->Backward(request, outcomes);
  }
  absl::Status Update(const UpdateRequest& request,
                      std::vector<Outcome>* outcomes) override {
    MB_RETURN_IF_ERROR(backend_->Check("Update"));
    return session_->Update(request, outcomes);
  }
  absl::Status ZeroGrad(bool release) override {
    MB_RETURN_IF_ERROR(backend_->Check("ZeroGrad"));
    return session_->ZeroGrad(release);
  }
  absl::StatusOr<Tensor> ReadState(int model, const std::string& slot,
                                   const std::string& parameter) override {
    MB_RETURN_IF_ERROR(backend_->Check("ReadState"));
    return session_->ReadState(model, slot, parameter);
  }
  absl::Status WriteState(int model, const std::string& slot,
                          const std::string& parameter,
                          const Tensor& value) override {
    MB_RETURN_IF_ERROR(backend_->Check("WriteState"));
    return session_->WriteState(model, slot, parameter, value);
  }
  absl::StatusOr<SessionStats> Stats() override { return session_->Stats(); }

 private:
  FailingBackend* backend_;
  std::unique_ptr<Session> session_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> FailingBackend::Compile(
    const CompileRequest& request) {
  MB_RETURN_IF_ERROR(Check("Compile"));
  if (static_cast<int>(request.models.size()) > most_models_) {
    if (by_host_) throw std::length_error("vector::reserve");
    return absl::ResourceExhaustedError(absl::StrCat(
        request.models.size(), " models, ", most_models_, " would fit"));
  }
  MB_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                      backend_->Compile(request));
  return std::make_unique<FailingSession>(this, std::move(session));
}

absl::Status FailingBackend::Check(const std::string& call) {
  const auto it = failures_.find(call);
  if (it == failures_.end() || it->second.passes-- > 0) return absl::OkStatus();
  const std::optional<absl::StatusCode> code = it->second.code;
  failures_.erase(it);
  if (!code.has_value()) throw std::bad_alloc();
  return absl::Status(*code, absl::StrCat(call, " fails"));
}

}  // namespace modelbatch
