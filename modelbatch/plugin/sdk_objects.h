// What the opaque handles of the ABI are on the plugin side. A handle keeps
// what it needs alive, so a host may destroy them in any order.
#ifndef MODELBATCH_PLUGIN_SDK_OBJECTS_H_
#define MODELBATCH_PLUGIN_SDK_OBJECTS_H_

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/abi_reports.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// Strings and, ending with NULL, pointers to them.
class CStringList {
 public:
  explicit CStringList(std::vector<std::string> strings)
      : strings_(std::move(strings)) {
    for (const std::string& s : strings_) pointers_.push_back(s.c_str());
    pointers_.push_back(nullptr);
  }
  CStringList(const CStringList&) = delete;
  CStringList& operator=(const CStringList&) = delete;

  const char* const* get() const { return pointers_.data(); }

 private:
  const std::vector<std::string> strings_;
  std::vector<const char*> pointers_;
};

}  // namespace modelbatch

struct MB_Backend {
  MB_Backend(std::shared_ptr<modelbatch::Backend> b,
             modelbatch::Capabilities capabilities)
      : backend(std::move(b)),
        operators(std::move(capabilities.operators)),
        losses(std::move(capabilities.losses)),
        optimizers(std::move(capabilities.optimizers)),
        precisions(std::move(capabilities.precisions)),
        features(std::move(capabilities.features)) {}

  const std::shared_ptr<modelbatch::Backend> backend;
  const modelbatch::CStringList operators;
  const modelbatch::CStringList losses;
  const modelbatch::CStringList optimizers;
  const modelbatch::CStringList precisions;
  const modelbatch::CStringList features;
};

struct MB_Dataset {
  std::shared_ptr<modelbatch::Backend> backend;  // destroyed after `dataset`
  std::unique_ptr<modelbatch::Dataset> dataset;
};

struct MB_Session {
  std::shared_ptr<modelbatch::Backend> backend;  // destroyed after `session`
  std::unique_ptr<modelbatch::Session> session;
  size_t num_models = 0;

  // Of the last step, kept for their memory.
  std::vector<modelbatch::Column> columns;
  std::vector<modelbatch::RowSet> rows;
  modelbatch::StepResult step;
  modelbatch::StepsResult steps;
  std::vector<modelbatch::Outcome> outcomes;
  modelbatch::EvaluateResult evaluation;

  // Every plan told to the host, which may keep the pointer.
  std::set<std::string> plans;

  // What the last session_describe and session_tune told.
  std::unique_ptr<modelbatch::AbiDescription> description;
  std::unique_ptr<modelbatch::AbiTuneReport> tune_report;
};

#endif  // MODELBATCH_PLUGIN_SDK_OBJECTS_H_
