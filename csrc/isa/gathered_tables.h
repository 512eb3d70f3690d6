// Training on item tables in bfloat16: the rows of a step, with their biases and their optimiser
// state, are copied to float32 tables of just these rows. The step trains those as if they were the
// whole catalogue; then the rows are rounded back (row_rounding.h).
#pragma once

#include "engine/buffer.h"
#include "engine/thread_pool.h"
#include "engine/training_step.h"
#include "isa/index_array.h"
#include "isa/row_rounding.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class GatheredTables {
 public:
  // For steps of up to `lanes` lanes and `rows` unique rows, by up to `threads` threads.
  GatheredTables(const Network& network, const TrainingSettings& settings, Index lanes, Index rows,
                 int threads);

  // The network and the settings of a step on the copied rows.
  const Network& network() const { return copy_; }
  const TrainingSettings& settings() const { return settings_; }
  int threads() const { return threads_; }

  // Copies the rows of a step; returns it with the places of the copies as its items.
  PlannedStep gather(const PlannedStep& step, ThreadPool& pool);
  // Writes them back after the step.
  void scatter(const PlannedStep& step, ThreadPool& pool);

 private:
  // A table of the catalogue, and that of the copied rows.
  struct Table {
    Parameter all, copied;
    Buffer value, state[kMaxStateTables];

    Table(const Parameter& parameter, Index rows);
    void gather(const std::int32_t* items, const RowList& places);
    void scatter(const std::int32_t* items, const RowList& places, const RowRounding& rounding,
                 float* scratch);
  };

  void find_inputs(const PlannedStep& step);
  // Calls work(table, places, number of the table, thread) for all rows of a step, in parts.
  template <class Work>
  void for_rows(const PlannedStep& step, ThreadPool& pool, const Work& work);

  bool shared_;
  TrainingSettings settings_;
  const std::int64_t* support_;  // of all items
  int threads_;
  Table wy_, by_, input_;
  Network copy_;
  IndexArray places_;  // 0, 1, 2, ...
  IndexArray seen_;    // (U) whether a row is among inputs_
  IndexArray inputs_;  // the places of the unique inputs, where they have a table of their own
  Index n_inputs_ = 0;
  IntegerArray<std::int64_t> copied_support_;
  Index scratch_stride_;
  Buffer scratch_;  // of each thread
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
