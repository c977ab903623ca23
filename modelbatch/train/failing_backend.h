// A backend for tests that does what another does, until a call is to fail.
//
//   FailingBackend backend(CpuBackendForTest());
//   auto trainer = Trainer::Create(&experiment, &backend);
//   backend.FailNext("Evaluate", 1);  // the second one from now
#ifndef MODELBATCH_TRAIN_FAILING_BACKEND_H_
#define MODELBATCH_TRAIN_FAILING_BACKEND_H_

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

class FailingBackend : public Backend {
 public:
  explicit FailingBackend(std::unique_ptr<Backend> backend)
      : backend_(std::move(backend)), capabilities_(backend_->capabilities()) {}

  // `call`: "Compile", or the name of a method of Session. Internal, once,
  // after `passes` calls that do not; or another error.
  void FailNext(const std::string& call, int passes,
                absl::StatusCode code = absl::StatusCode::kInternal) {
    failures_[call] = {passes, code};
  }
  // The same, for lack of the host's memory: std::bad_alloc.
  void ThrowNext(const std::string& call, int passes) {
    failures_[call] = {passes, std::nullopt};
  }
  // A session of more models than this is ResourceExhausted; or, for lack of
  // the host's memory, std::length_error.
  void LimitModels(int models, bool by_host = false) {
    most_models_ = models;
    by_host_ = by_host;
  }
  // What it says it has.
  Capabilities* mutable_capabilities() { return &capabilities_; }

  Capabilities capabilities() const override { return capabilities_; }
  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override;
  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) override {
    return backend_->CreateDataset(std::move(features), std::move(targets));
  }

  // Whether this call fails.
  absl::Status Check(const std::string& call);

 private:
  std::unique_ptr<Backend> backend_;
  Capabilities capabilities_;
  int most_models_ = std::numeric_limits<int>::max();
  bool by_host_ = false;
  struct Failure {
    int passes;                            // left
    std::optional<absl::StatusCode> code;  // none: thrown
  };
  std::map<std::string, Failure> failures_;  // of the calls that will fail
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_FAILING_BACKEND_H_
