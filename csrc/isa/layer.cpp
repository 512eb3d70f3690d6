#include "isa/layer.h"

#include "isa/cells/cells.h"
#include "isa/dropout.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

LayerStep::LayerStep(const Layer& layer, Index max_lanes)
    : layer_(layer),
      entry_(*kCells[layer.cell]),
      b_(layer, entry_.kind, max_lanes),
      input_(layer_, entry_.kind),
      cell_(entry_.make(layer, max_lanes)) {
  // A right factor of a weight's gradient has as many columns as the weight.
  Index columns = layer.one_hot ? 0 : layer.input_weight.columns;
  for (const Parameter& weight : layer.weights) columns = at_least(columns, weight.columns);
  for (RightFactor& y : y_) y = RightFactor(layer.products, max_lanes, columns);
}

void LayerStep::load_lane(Index i, const float* row) {
  const Index H = layer_.units;
  for (int s = 0; s < entry_.kind.states; ++s) {
    copy(b_.state[s].after.data() + i * b_.unit_stride, row + s * H, H);
  }
}

void LayerStep::store_lane(Index i, float* row) const {
  const Index H = layer_.units;
  for (int s = 0; s < entry_.kind.states; ++s) {
    copy(row + s * H, b_.state[s].after.data() + i * b_.unit_stride, H);
  }
}

void LayerStep::load_state(const LayerState& state) {
  for (Index i = 0; i < state.rows; ++i) load_lane(i, state.value + i * state_width());
}

void LayerStep::store_state(LayerState& state, Index live) const {
  state.rows = live;
  for (Index i = 0; i < live; ++i) store_lane(i, state.value + i * state_width());
}

// Lane i continues from row source[i] of the step before, or starts from zero.
void LayerStep::carry(const PlannedStep& step, CellState& state) {
  for (Index i = 0; i < step.live; ++i) {
    float* before = state.before.data() + i * b_.unit_stride;
    if (step.restarts[i] != 0) {
      std::memset(before, 0, static_cast<std::size_t>(b_.unit_stride) * sizeof(float));
    } else {
      copy(before, state.after.data() + step.source[i] * b_.unit_stride, b_.unit_stride);
    }
  }
}

// `after` is scratch space for the transpose, as the old state has been carried already.
void LayerStep::make_mask(const PlannedStep& step, std::uint64_t seed) {
  b_.dropped = layer_.dropout.rate > 0;
  if (!b_.dropped) return;
  float* mask = output();
  fill_dropout(seed, step.step, layer_.dropout.number, step.first_lane, step.live, layer_.units,
               layer_.dropout.rate, mask, b_.unit_stride);
  transpose(step.live, layer_.units, mask, b_.unit_stride, b_.mask_t.data(), b_.lane_stride);
}

void LayerStep::forward(const PlannedStep& step, std::uint64_t seed, ThreadPool& pool) {
  const Index lanes = step.live, H = layer_.units;
  for (int s = 0; s < entry_.kind.states; ++s) {
    CellState& state = b_.state[s];
    carry(step, state);
    transpose(lanes, H, state.before.data(), b_.unit_stride, state.before_t.data(), b_.lane_stride);
    if (s == 0) b_.before_factor.take(state.before_t.data(), b_.lane_stride, H, lanes, pool);
  }
  make_mask(step, seed);
  input_.begin(b_, lanes, pool);
  cell_->forward(b_, input_, lanes, pool);
  for (CellState& state : b_.state) {
    if (state.after.data() == nullptr) continue;
    transpose(H, lanes, state.after_t.data(), b_.lane_stride, state.after.data(), b_.unit_stride);
  }
}

// The gradient of the input is computed before W changes.
void LayerStep::backward(const PlannedStep& step, const BackwardContext& context) {
  const Index lanes = step.live, G = entry_.kind.gates * layer_.units;
  cell_->backward(b_, lanes, context.pool);
  input_.backward(b_, lanes, context.pool);
  if (layer_.one_hot || entry_.reads_gradient_rows) {
    transpose(G, lanes, b_.d_wx_t.data(), b_.lane_stride, b_.d_wx_rows.data(), b_.gate_stride);
  }
  update_weights(lanes, context);
}

// Weights are updated in blocks of rows, all of them in one shared loop.
void LayerStep::update_weights(Index lanes, const BackwardContext& context) {
  WeightGradient weights[kMaxWeightGradients + 1];
  int n = cell_->weight_gradients(b_, weights);
  if (!layer_.one_hot) weights[n++] = input_.weight_gradient(b_);
  Index blocks = 0, work = 0;
  int factor[kMaxWeightGradients + 1] = {};  // which of y_; several weights may share one
  for (int k = 0; k < n; ++k) {
    const WeightGradient& w = weights[k];
    const bool same =
        k > 0 && w.y == weights[k - 1].y && w.weight->columns == weights[k - 1].weight->columns;
    factor[k] = same ? factor[k - 1] : k;
    if (!same) y_[k].take(w.y, w.y_stride, lanes, w.weight->columns, context.pool);
    blocks += unit_blocks(weights[k].rows);
    work += weights[k].rows * weights[k].weight->columns * lanes;
  }
  context.pool.run(blocks, work > kWorthSharing, [&](Index block, int thread) {
    const WeightGradient* w = weights;
    for (; block >= unit_blocks(w->rows); ++w) block -= unit_blocks(w->rows);
    const RightFactor& y = y_[factor[w - weights]];
    const Index first = block * kUnitBlock, rows = at_most(w->rows - first, kUnitBlock);
    update_rows(*w->weight, w->first + first, rows, lanes, w->d + first * b_.lane_stride,
                b_.lane_stride, y, context.optimiser, context.scratch[thread]);
  });
  BiasGradient biases[kMaxWeights];
  n = cell_->bias_gradients(biases);
  for (int k = 0; k < n; ++k) update_bias(*biases[k].bias, biases[k].d, context.optimiser);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
