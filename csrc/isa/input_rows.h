// The rows that the lanes of a step read as input, and their gradients.
//
// A row that several lanes read has the sum of their gradients. A row of the output table that is
// also an input has a gradient from the scores too; that part is deferred: it waits here until the
// cells' backward pass is done.
#pragma once

#include "engine/step_block.h"
#include "isa/cells/cell.h"
#include "isa/index_array.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class InputRows {
 public:
  InputRows(const Network& network, Index max_lanes, Index max_rows);

  // Finds the step's unique input rows, and reads x (lanes x K) from them, after dropout.
  void read(const PlannedStep& step, std::uint64_t seed, CellBuffers& first);

  // Where the output's part of the gradient of row u is to be put, or null where that gradient is
  // complete.
  float* deferred(Index u) {
    const std::int32_t place = place_[u];
    return network_.shared && place >= 0 ? gradient_.data() + place * stride_ : nullptr;
  }

  // Adds the gradients of x, and updates the rows.
  void update(const PlannedStep& step, bool one_hot, CellBuffers& first,
              const Optimiser& optimiser);

 private:
  void find(const PlannedStep& step);

  Network network_;
  Index stride_;       // floats a row
  Buffer mask_, d_x_;  // (B x K)
  Buffer gradient_;    // (B x K) of the unique rows
  Index rows_ = 0;     // unique rows of the step
  IndexArray place_;   // (U) the row's place among the unique input rows, or -1
  IndexArray items_;   // (B) items of the unique input rows
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
