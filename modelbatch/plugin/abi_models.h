// Models as the ABI's structs, and back.
//
//   AbiModels models(request.models);        // borrows them
//   args.models = models.data();
//   args.num_models = models.size();
#ifndef MODELBATCH_PLUGIN_ABI_MODELS_H_
#define MODELBATCH_PLUGIN_ABI_MODELS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/named_values.h"

namespace modelbatch {

// InvalidArgument that names model and operator if a string holds a zero byte.
absl::Status CheckCStrings(const std::vector<ModelInstance>& models);

// Points into `models`, which must outlive it unchanged.
class AbiModels {
 public:
  explicit AbiModels(const std::vector<ModelInstance>& models);
  AbiModels(const AbiModels&) = delete;
  AbiModels& operator=(const AbiModels&) = delete;

  const MB_Model* const* data() const { return pointers_.data(); }
  size_t size() const { return pointers_.size(); }

 private:
  void Add(const ModelInstance& model);

  // Deques: what is added later does not move what was pointed to.
  std::deque<std::vector<int32_t>> inputs_;
  std::deque<NamedValues> attributes_;
  std::deque<std::vector<MB_Operator>> operators_;
  std::deque<MB_Model> models_;
  std::vector<const MB_Model*> pointers_;
};

// Copies a model. Null pointers, a short struct, a negative size in the input
// shape, or an input of an operator that is not an earlier one are
// InvalidArgument that names the field, as in `models[3] (id 17).operators[0]
// ("fc1").kind`.
absl::StatusOr<ModelInstance> ToModelInstance(const MB_Model* model,
                                              size_t index);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_ABI_MODELS_H_
