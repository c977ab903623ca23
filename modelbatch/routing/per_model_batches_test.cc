// A model's batches are its own: what the others do changes none of them.
#include "modelbatch/routing/per_model_batches.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {
namespace {

using Rows = std::vector<int32_t>;

std::shared_ptr<const Rows> Share(Rows rows) {
  return std::make_shared<const Rows>(std::move(rows));
}

PerModelBatches Batches(std::vector<ModelRows> models) {
  return PerModelBatches::Create(std::move(models)).value();
}

Rows Copy(absl::Span<const int32_t> rows) { return {rows.begin(), rows.end()}; }

// The order of the header, by its definition: Durstenfeld's shuffle.
Rows Shuffled(Rows rows, uint64_t seed, uint64_t epoch) {
  for (size_t i = rows.size(); i-- > 1;) {
    const uint64_t draw =
        PhiloxDraw(seed, RandomPurpose::kShuffle, 0, epoch, i);
    std::swap(rows[i], rows[draw * (i + 1) >> 32]);
  }
  return rows;
}

// Three models: seven rows by three, two rows at once, four by two.
std::vector<ModelRows> Three() {
  return {{Share({10, 11, 12, 13, 14, 15, 16}), 3, 1},
          {Share({20, 21}), 64, 2},
          {Share({30, 31, 30, 33}), 2, 1}};
}

TEST(PerModelBatchesTest, EveryModelVisitsItsRowsAndThenWaits) {
  PerModelBatches batches = Batches(Three());
  EXPECT_EQ(batches.num_models(), 3);
  EXPECT_EQ(batches.steps_per_epoch(), 3);
  EXPECT_EQ(batches.steps_per_epoch(0), 3);
  EXPECT_EQ(batches.steps_per_epoch(1), 1);
  EXPECT_EQ(batches.steps_per_epoch(2), 2);
  EXPECT_EQ(batches.rows_per_epoch(2), 4);
  EXPECT_EQ(batches.max_rows(), 3);
  const std::vector<ModelRows> models = Three();
  for (int64_t epoch : {0, 1, 7}) {
    batches.StartEpoch(epoch);
    std::vector<Rows> seen(3);
    for (int64_t step = 0; step < 3; ++step) {
      const RowSet rows = batches.Batch(step);
      ASSERT_EQ(rows.offsets.size(), 4u);
      EXPECT_EQ(rows.offsets[0], 0);
      EXPECT_EQ(rows.offsets[3], static_cast<int64_t>(rows.rows.size()));
      for (int model = 0; model < 3; ++model) {
        const Rows own = Copy(RowsOf(rows, model));
        EXPECT_EQ(own, Copy(batches.BatchOf(model, step)));
        const int64_t left = static_cast<int64_t>(models[model].rows->size()) -
                             step * models[model].batch_size;
        EXPECT_EQ(static_cast<int64_t>(own.size()),
                  std::clamp<int64_t>(left, 0, models[model].batch_size));
        seen[model].insert(seen[model].end(), own.begin(), own.end());
      }
    }
    for (int model = 0; model < 3; ++model) {
      EXPECT_EQ(seen[model],
                Shuffled(*models[model].rows, models[model].seed, epoch));
    }
  }
}

TEST(PerModelBatchesTest, AModelAloneHasTheSameBatches) {
  PerModelBatches all = Batches(Three());
  for (int model = 0; model < 3; ++model) {
    PerModelBatches alone = Batches({Three()[model]});
    EXPECT_EQ(alone.steps_per_epoch(), all.steps_per_epoch(model));
    for (int64_t epoch : {0, 3}) {
      all.StartEpoch(epoch);
      alone.StartEpoch(epoch);
      for (int64_t step = 0; step < alone.steps_per_epoch(); ++step) {
        EXPECT_EQ(Copy(RowsOf(all.Batch(step), model)),
                  Copy(RowsOf(alone.Batch(step), 0)));
      }
    }
  }
}

// Resuming needs nothing of the steps and epochs before.
TEST(PerModelBatchesTest, AStepIsAFunctionOfEpochAndStep) {
  PerModelBatches run = Batches(Three());
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    run.StartEpoch(epoch);
    for (int64_t step = 0; step < run.steps_per_epoch(); ++step) {
      const RowSet rows = run.Batch(step);
      PerModelBatches resumed = Batches(Three());
      resumed.StartEpoch(epoch);
      const RowSet again = resumed.Batch(step);
      EXPECT_EQ(Copy(rows.rows), Copy(again.rows));
      EXPECT_EQ(rows.offsets, again.offsets);
    }
  }
}

TEST(PerModelBatchesTest, EqualModelsShareTheirRows) {
  const auto rows = Share({1, 2, 3, 4, 5});
  PerModelBatches batches = Batches({{rows, 2, 9}, {rows, 2, 9}});
  EXPECT_TRUE(batches.Batch(0).offsets.empty());
  EXPECT_EQ(batches.Batch(2).rows.size(), 1u);
  // Not when anything differs.
  EXPECT_EQ(Batches({{rows, 2, 9}, {rows, 3, 9}}).Batch(0).offsets.size(), 3u);
  EXPECT_EQ(Batches({{rows, 2, 9}, {rows, 2, 8}}).Batch(0).offsets.size(), 3u);
}

TEST(PerModelBatchesTest, SeedsGiveDifferentOrders) {
  Rows many;
  for (int32_t row = 0; row < 50; ++row) many.push_back(row);
  const auto rows = Share(many);
  PerModelBatches batches = Batches({{rows, 50, 1}, {rows, 50, 2}});
  EXPECT_NE(Copy(batches.BatchOf(0, 0)), Copy(batches.BatchOf(1, 0)));
}

TEST(PerModelBatchesTest, AStepAllocatesNothing) {
  PerModelBatches batches = Batches(Three());
  const RowSet first = batches.Batch(0);
  const int32_t* rows = first.rows.data();
  const int64_t* offsets = first.offsets.data();
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    batches.StartEpoch(epoch);
    for (int64_t step = 0; step < 3; ++step) {
      EXPECT_EQ(batches.Batch(step).rows.data(), rows);
      EXPECT_EQ(batches.Batch(step).offsets.data(), offsets);
    }
  }
}

TEST(PerModelBatchesTest, ABatchLargerThanAnyData) {
  PerModelBatches batches =
      Batches({{Share({4, 5}), std::numeric_limits<int64_t>::max(), 1}});
  EXPECT_EQ(batches.steps_per_epoch(), 1);
  EXPECT_EQ(batches.max_rows(), 2);
  EXPECT_EQ(batches.Batch(0).rows.size(), 2u);
}

TEST(PerModelBatchesTest, Refuses) {
  const auto message = [](std::vector<ModelRows> models) {
    const absl::Status status =
        PerModelBatches::Create(std::move(models)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const auto rows = Share({1});
  EXPECT_EQ(message({}), "no models, expected at least one");
  EXPECT_EQ(message({{rows, 1, 0}, {Share({}), 1, 0}}),
            "model 1 has 0 rows to train on, expected 1 to 2147483647");
  EXPECT_EQ(message({{nullptr, 1, 0}}),
            "model 0 has 0 rows to train on, expected 1 to 2147483647");
  EXPECT_EQ(message({{rows, 1, 0}, {rows, 0, 0}}),
            "model 1: batch_size is 0, expected at least 1");
  EXPECT_EQ(message({{Share({3, -1}), 1, 0}}),
            "model 0 has row -1 at position 1, expected at least 0");
}

}  // namespace
}  // namespace modelbatch
