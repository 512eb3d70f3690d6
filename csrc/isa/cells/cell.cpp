#include "isa/cells/cell.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// x has whole vectors of rows, because a one-hot input is transposed so far.
CellBuffers::CellBuffers(const Layer& layer, const CellKind& kind, Index max_lanes)
    : units(layer.units),
      input_stride(row_stride(layer.inputs)),
      gate_stride(row_stride(kind.gates * layer.units)),
      unit_stride(row_stride(layer.units)),
      lane_stride(row_stride(max_lanes)),
      x(round_up(max_lanes, kWidth) * input_stride),
      x_t(layer.one_hot ? 0 : layer.inputs * lane_stride),
      wx_t(kind.gates * layer.units * lane_stride),
      d_wx_t(kind.gates * layer.units * lane_stride),
      d_wx_rows(max_lanes * gate_stride),
      d_x_t(layer.one_hot ? 0 : layer.inputs * lane_stride),
      before_factor(layer.products, layer.units, max_lanes),
      x_factor(layer.products, layer.one_hot ? 0 : layer.inputs, max_lanes),
      d_wx_factor(layer.products, layer.one_hot ? 0 : kind.gates * layer.units, max_lanes),
      mask_t(layer.units * lane_stride),
      d_after_t(layer.units * lane_stride) {
  state[0].after = Buffer(max_lanes * unit_stride);
  state[0].after_t = Buffer(layer.units * lane_stride);
  for (int s = 0; s < kind.states; ++s) {
    state[s].before = Buffer(max_lanes * unit_stride);
    state[s].after = Buffer(max_lanes * unit_stride);
    state[s].before_t = Buffer(layer.units * lane_stride);
    state[s].after_t = Buffer(layer.units * lane_stride);
  }
}

Index weight_scratch(const Layer& layer) {
  Index columns = layer.input_weight.columns;
  for (const Parameter& weight : layer.weights) columns = at_least(columns, weight.columns);
  return kUnitBlock * row_stride(columns);
}

void update_rows(const Parameter& p, Index first, Index n, Index lanes, const float* d,
                 Index d_stride, const RightFactor& y, const Optimiser& optimiser,
                 Scratch& scratch) {
  const Index stride = row_stride(p.columns);
  float* g = scratch.gradient.data();
  const RowList rows{nullptr, first, first + n};
  // One at a time: most of a dense weight's state is in the caches already.
  RowPrefetch prefetch(state_rows(p, rows), product_length(n, p.columns, lanes), 1);
  multiply(n, p.columns, lanes, Rows{d, d_stride}, y, g, stride, false, prefetch);
  optimiser.update(p, rows, g, stride, RowOrigin::kWeights);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
