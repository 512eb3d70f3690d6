// The interface of a cell, and what cells share.
//
// A cell computes, for the lanes of a step, the new state of a layer from its input and the carried
// state; then the gradients of its weights and of its input's products from the gradient of the new
// state. No gradient goes back to the carried state: it is a constant of the step. A feed-forward
// layer is a cell that carries no state.
//
// Letters: B lanes, K inputs, H units, G = gates * H. "_t" means transposed: units x lanes, the
// layout that cells compute in (isa/lane_matrix.h).
#pragma once

#include <memory>

#include "engine/buffer.h"
#include "engine/network.h"
#include "engine/parts.h"
#include "engine/thread_pool.h"
#include "isa/factor.h"
#include "isa/lane_matrix.h"
#include "isa/optimisers/optimiser.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Loops over units are shared in blocks of this many: whole register tiles, also those of an odd
// number of vectors, which have 8 rows with AVX-512 and 4 with AVX2.
inline constexpr Index kUnitBlock = kTileRows == 12 ? 24 : 36;

inline Index unit_blocks(Index units) {
  return (units + kUnitBlock - 1) / kUnitBlock;
}

// A state that is carried: before the step and, with dropout, after it.
struct CellState {
  Buffer before, after;      // (B x H)
  Buffer before_t, after_t;  // (H x B)
};

// What a cell reads and writes. A cell reads wx_t, which it may overwrite, before and before_t of
// each state, mask_t and d_after_t; it writes after_t and d_wx_t. Factors have what they are named
// after, as the right factor of products.
struct CellBuffers {
  CellBuffers(const Layer& layer, const CellKind& kind, Index max_lanes);

  float* wx(int gate, Index unit) { return wx_t.data() + (gate * units + unit) * lane_stride; }
  float* d_wx(int gate, Index unit) { return d_wx_t.data() + (gate * units + unit) * lane_stride; }

  Index units;                        // H
  Index input_stride;                 // floats a row of x
  Index gate_stride;                  // of d_wx_rows
  Index unit_stride;                  // of `before`, `after`
  Index lane_stride;                  // of everything "_t"
  Buffer x, x_t;                      // (B x K), (K x B); no x_t of a one-hot input
  Buffer wx_t, d_wx_t;                // (G x B) products of the input with W, and their gradient
  Buffer d_wx_rows;                   // (B x G) the transpose of d_wx_t, after the backward pass
  Buffer d_x_t;                       // (K x B) gradient of the input, unless it is one-hot
  CellState state[kMaxCellStates];    // the first is the output of the layer
  RightFactor before_factor;          // before_t of the first state
  RightFactor x_factor, d_wx_factor;  // x_t, d_wx_t
  bool dropped = false;  // whether after_t of the first state is to be multiplied by mask_t
  Buffer mask_t;         // (H x B)
  Buffer d_after_t;      // (H x B) gradient of the first state after the step
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

// The gradient of rows first .. first + rows - 1 of a weight: d (rows x B, rows lane_stride floats
// apart) times y (B x columns).
struct WeightGradient {
  const Parameter* weight;
  Index first, rows;
  const float* d;
  const float* y;
  Index y_stride;
};

inline constexpr int kMaxWeightGradients = 4;  // of a cell

// The gradient of a bias (1 x n).
struct BiasGradient {
  const Parameter* bias;
  const float* d;
};

class InputProduct;

class Cell {
 public:
  virtual ~Cell() = default;
  // `input` computes wx_t a block of units at a time.
  virtual void forward(CellBuffers& b, const InputProduct& input, Index lanes,
                       ThreadPool& pool) = 0;
  virtual void backward(CellBuffers& b, Index lanes, ThreadPool& pool) = 0;
  // After backward(): the gradients of the weights beside the input's, and how many there are.
  virtual int weight_gradients(const CellBuffers& b, WeightGradient* gradients) const = 0;
  virtual int bias_gradients(BiasGradient* gradients) const = 0;
};

struct CellEntry {
  CellKind kind;
  bool reads_gradient_rows;  // whether weight_gradients() reads d_wx_rows
  std::unique_ptr<Cell> (*make)(const Layer& layer, Index max_lanes);
};

// The new state of one unit and kWidth lanes, after dropout.
inline void store_output(CellBuffers& b, Index unit, Index lane, Vec h) {
  const Index at = unit * b.lane_stride + lane;
  if (b.dropped) h *= load(b.mask_t.data() + at);
  store(b.state[0].after_t.data() + at, h);
}

// The gradient of the new state before dropout.
inline Vec output_gradient(const CellBuffers& b, Index unit, Index lane) {
  const Index at = unit * b.lane_stride + lane;
  Vec d_h = load(b.d_after_t.data() + at);
  if (b.dropped) d_h *= load(b.mask_t.data() + at);
  return d_h;
}

// Floats of Scratch::gradient that update_rows() needs for the layer's weights.
Index weight_scratch(const Layer& layer);

// Updates rows first .. first + n - 1 of a dense weight. Their gradient is d (n x lanes) times
// y (lanes x columns).
void update_rows(const Parameter& p, Index first, Index n, Index lanes, const float* d,
                 Index d_stride, const RightFactor& y, const Optimiser& optimiser,
                 Scratch& scratch);

// Updates a bias, a (1 x n) parameter.
inline void update_bias(const Parameter& p, const float* g, const Optimiser& optimiser) {
  optimiser.update(p, {nullptr, 0, 1}, g, p.columns, RowOrigin::kWeights);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
