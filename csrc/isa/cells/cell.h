// The interface of a recurrent cell, and what cells share.
//
// A cell computes, for the lanes of a step, the new state of a layer from its input and the carried
// state; then, from the gradient of the new state, the one of the input, and the updates of its own
// weights. No gradient goes back to the carried state: it is a constant of the step.
//
// Letters: B lanes, K inputs, H units. "_t" means transposed: units x lanes, the layout that cells
// compute in (isa/lane_matrix.h).
#pragma once

#include <memory>

#include "engine/buffer.h"
#include "engine/network.h"
#include "engine/parts.h"
#include "engine/thread_pool.h"
#include "isa/lane_matrix.h"
#include "isa/optimisers/optimiser.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// A state that is carried: before the step and, with dropout, after it.
struct CellState {
  Buffer before, after;      // (B x H)
  Buffer before_t, after_t;  // (H x B)
};

// What a cell reads and writes. A cell reads x, x_t, before, before_t of each state and mask_t; it
// writes after_t.
struct CellBuffers {
  CellBuffers(const Layer& layer, const CellKind& kind, Index max_lanes);

  Index input_stride;               // floats a row of x
  Index unit_stride;                // of `before`, `after`
  Index lane_stride;                // of everything "_t"
  Buffer x, x_t;                    // (B x K), (K x B)
  CellState state[kMaxCellStates];  // the first is the output of the layer
  bool dropped = false;  // whether after_t of the first state is to be multiplied by mask_t
  Buffer mask_t;         // (H x B)
  Buffer d_after_t;      // (H x B) gradient of the first state after the step
  // The gradient of the input: d_x_t (K x B), or of a one-hot input d_x (B x K).
  Buffer d_x_t, d_x;
};

// Scratch space of one thread: for the gradients of a few rows, and for packed item rows.
struct Scratch {
  Buffer gradient;
  Buffer strips;
};

// What the backward pass of a step takes along.
struct BackwardContext {
  const Optimiser& optimiser;
  ThreadPool& pool;
  Scratch* scratch;  // one for each thread of the pool
};

class Cell {
 public:
  virtual ~Cell() = default;
  virtual void forward(CellBuffers& b, Index lanes, ThreadPool& pool) = 0;
  virtual void backward(CellBuffers& b, Index lanes, const BackwardContext& context) = 0;
};

struct CellEntry {
  CellKind kind;
  std::unique_ptr<Cell> (*make)(const Layer& layer, Index max_lanes);
};

// Loops over units are shared in blocks of this many.
inline constexpr Index kUnitBlock = 36;

inline Index unit_blocks(Index units) {
  return (units + kUnitBlock - 1) / kUnitBlock;
}

// Floats of Scratch::gradient that update_rows() needs for the layer's weights.
Index weight_scratch(const Layer& layer);

// Updates rows first .. first + n - 1 of a dense weight. Their gradient is d (n x lanes) times
// y (lanes x columns).
void update_rows(const Parameter& p, Index first, Index n, Index lanes, const float* d,
                 Index d_stride, const float* y, Index y_stride, const Optimiser& optimiser,
                 Scratch& scratch);

// Updates a bias, a (1 x n) parameter.
inline void update_bias(const Parameter& p, const float* g, const Optimiser& optimiser) {
  optimiser.update(p, {nullptr, 0, 1}, g, p.columns, RowOrigin::kWeights);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
