#include "modelbatch/train/train_state.h"

#include <limits>

namespace modelbatch {

Score::Score() : loss(std::numeric_limits<double>::quiet_NaN()), correct(-1) {}

}  // namespace modelbatch
