// What the launches read of a plan and its schedule: the tables of Tables, by
// what they are of.
//
//   tables.Build(plan, schedule);
//   MB_RETURN_IF_ERROR(tables.Upload(gpu));
//   args.problems = tables.At(tables.ops[op].forward.problems);
#ifndef BACKENDS_CUDA_PLAN_TABLES_H_
#define BACKENDS_CUDA_PLAN_TABLES_H_

#include <cstdint>
#include <vector>

#include "backends/cuda/kernels/args.h"
#include "backends/cuda/schedule/schedule.h"
#include "backends/cuda/tables.h"
#include "backends/grouped/plan.h"

namespace modelbatch::cuda {

// Of one product of a linear operation.
struct ProductTables {
  Table<ProductProblem> problems;
  std::vector<Table<Tile>> tiles;  // by list
};

// Of an operation; which are used depends on its kind.
struct OpTables {
  ProductTables forward, input_gradient, weight_gradient;
  Table<ColumnGroup> groups;  // of the wide product, its tiles likewise
  Table<Tile> wide;
  Table<int64_t> weight, bias;  // by model: offset in the state
  Table<int64_t> stats;
  Table<float> eps;
  Table<DropoutMask> masks;
};

class PlanTables : public Tables {
 public:
  // Once, before Upload.
  void Build(const grouped::Plan& plan, const Schedule& schedule);

  std::vector<OpTables> ops;
  std::vector<Table<MatrixPlace>> values, gradients;  // by value
  Table<StateTile> state_tiles;
  Table<StateTile> epilogue_state_tiles, other_state_tiles;
  Table<int64_t> state_offsets, state_sizes;  // by model
  Table<float> loss_weights;                  // of the classes or outputs
  // Of the outputs of all models, compact: by model where they begin, on the
  // host too, and how many floats they are.
  Table<int64_t> packed;
  std::vector<int64_t> packed_offsets;
  int64_t packed_size = 0;

 private:
  ProductTables AddProduct(const ProductSchedule& schedule);
  void AddOp(const grouped::Plan& plan, const Schedule& schedule,
             const grouped::GroupedOp& op);
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_PLAN_TABLES_H_
