#include "backends/cpu/dropout_plan.h"

#include "modelbatch/util/philox.h"

namespace modelbatch::cpu {

DropoutPlan PlanDropout(const DropoutKey& key) {
  const uint32_t purpose = static_cast<uint32_t>(RandomPurpose::kDropout);
  DropoutPlan plan;
  plan.key[0] = static_cast<uint32_t>(key.seed);
  plan.key[1] = static_cast<uint32_t>(key.seed >> 32);
  plan.counter[0] = purpose << 24 | key.op;
  plan.counter[1] = static_cast<uint32_t>(key.step);
  plan.counter[2] = static_cast<uint32_t>(key.step >> 32);
  plan.threshold = DropoutThreshold(key.p);
  plan.scale = static_cast<float>(1 / (1 - key.p));
  return plan;
}

}  // namespace modelbatch::cpu
