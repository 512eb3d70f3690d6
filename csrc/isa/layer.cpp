#include "isa/layer.h"

#include "isa/cells/cells.h"
#include "isa/dropout.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

LayerStep::LayerStep(const Layer& layer, Index max_lanes)
    : layer_(layer),
      entry_(*kCells[layer.cell]),
      b_(layer, entry_.kind, max_lanes),
      cell_(entry_.make(layer, max_lanes)) {}

void LayerStep::load_state(const LayerState& state) {
  const Index H = layer_.units, width = entry_.kind.states * H;
  for (int s = 0; s < entry_.kind.states; ++s) {
    float* after = b_.state[s].after.data();
    for (Index i = 0; i < state.rows; ++i) {
      copy(after + i * b_.unit_stride, state.value + i * width + s * H, H);
    }
  }
}

void LayerStep::store_state(LayerState& state, Index live) const {
  const Index H = layer_.units, width = entry_.kind.states * H;
  state.rows = live;
  for (int s = 0; s < entry_.kind.states; ++s) {
    const float* after = b_.state[s].after.data();
    for (Index i = 0; i < live; ++i) {
      copy(state.value + i * width + s * H, after + i * b_.unit_stride, H);
    }
  }
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
  fill_dropout(seed, step.step, layer_.dropout.number, step.live, layer_.units, layer_.dropout.rate,
               mask, b_.unit_stride);
  transpose(step.live, layer_.units, mask, b_.unit_stride, b_.mask_t.data(), b_.lane_stride);
}

void LayerStep::forward(const PlannedStep& step, std::uint64_t seed, ThreadPool& pool) {
  const Index lanes = step.live, H = layer_.units;
  for (int s = 0; s < entry_.kind.states; ++s) {
    CellState& state = b_.state[s];
    carry(step, state);
    transpose(lanes, H, state.before.data(), b_.unit_stride, state.before_t.data(), b_.lane_stride);
  }
  make_mask(step, seed);
  transpose(lanes, layer_.inputs, b_.x.data(), b_.input_stride, b_.x_t.data(), b_.lane_stride);
  cell_->forward(b_, lanes, pool);
  for (int s = 0; s < entry_.kind.states; ++s) {
    CellState& state = b_.state[s];
    transpose(H, lanes, state.after_t.data(), b_.lane_stride, state.after.data(), b_.unit_stride);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
