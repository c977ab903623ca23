// Populations to train alone and together, and the comparison of what came out,
// bit for bit.
//
//   Population population(GraphKind::kDropout, "adam");
//   auto alone = population.Train("cpu", {{3}});
//   auto together = population.Train("cpu", {{0, 1, 2, 3, 4}});
//   EXPECT_EQ(Difference(alone->at(3), together->at(3)), "");
//
// A member is a function of its id alone: its widths, rates, seed,
// hyper-parameters and rows.
#ifndef TESTS_INDEPENDENCE_POPULATION_H_
#define TESTS_INDEPENDENCE_POPULATION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/modelbatch.h"

namespace modelbatch {

enum class GraphKind { kPlain, kDropout, kNorm, kRegression };
inline constexpr GraphKind kAllGraphs[] = {
    GraphKind::kPlain, GraphKind::kDropout, GraphKind::kNorm,
    GraphKind::kRegression};
const char* GraphName(GraphKind graph);

// What training made of one model.
struct Trajectory {
  std::vector<float> losses;  // of every step
  std::vector<Outcome> outcomes;
  ModelState state;
  double evaluation_loss = 0;
  int64_t correct = 0;
};

// Where the two differ, empty if every bit is equal.
std::string Difference(const ModelState& a, const ModelState& b);
std::string Difference(const Trajectory& a, const Trajectory& b);

struct Batch {
  std::vector<int64_t> ids;  // by slot
  Attributes options = {};   // of the backend
  int64_t first_step = 0;    // [first_step, last_step) of the run
  int64_t last_step = 35;
  int64_t spare_rows = 0;  // compiled for so many more rows than are used
  // Called before the first step, for instance to poison weights.
  std::function<absl::Status(ModelBatch&)> prepare = {};
  // Called before every step, for instance to switch models off.
  std::function<void(int64_t step, ModelBatch&)> before_step = {};
};

class Population {
 public:
  // Rows: one set for all models, or each member its own number of its own.
  enum class Rows { kShared, kRagged };

  Population(GraphKind graph, std::string optimizer, Rows rows = Rows::kRagged);

  // By id. `backend`: a name or a path.
  absl::StatusOr<std::map<int64_t, Trajectory>> Train(
      const std::string& backend, const Batch& batch) const;

  ModelInstance Member(int64_t id) const;
  OptimizerConfig Config(int64_t id) const;
  // Rows of member `id` in `step`; of all members where they share them.
  std::vector<int32_t> RowsOf(int64_t id, int64_t step) const;

  // Ids whose training is another: the learning rate of this factor.
  std::map<int64_t, double> rate_factors;
  // Members that see no row in odd steps (ragged rows only).
  std::vector<int64_t> often_empty;

 private:
  const GraphKind graph_;
  const std::string optimizer_;
  const Rows rows_;
  std::vector<float> features_;
  std::vector<int64_t> classes_;
  std::vector<float> values_;
};

}  // namespace modelbatch

#endif  // TESTS_INDEPENDENCE_POPULATION_H_
