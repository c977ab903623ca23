// Adam and its kin, as optimizer.h's Update makes them.
#ifndef BACKENDS_LIBTORCH_UPDATE_ADAM_H_
#define BACKENDS_LIBTORCH_UPDATE_ADAM_H_

#include <cstdint>
#include <vector>

#include "backends/grouped/executor.h"
#include "backends/libtorch/optimizer.h"

namespace modelbatch::libtorch {

void UpdateAdam(const grouped::UpdateRule& rule, const std::vector<int>& models,
                const std::vector<int64_t>& steps, const UpdateTensors& t);
void UpdateNAdam(const grouped::UpdateRule& rule,
                 const std::vector<int>& models,
                 const std::vector<int64_t>& steps, const UpdateTensors& t);
void UpdateRAdam(const grouped::UpdateRule& rule,
                 const std::vector<int>& models,
                 const std::vector<int64_t>& steps, const UpdateTensors& t);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_UPDATE_ADAM_H_
