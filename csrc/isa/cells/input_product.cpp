#include "isa/cells/input_product.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Products of a one-hot input are transposed as whole vectors of lanes: a cell overwrites them, and
// would otherwise go on from its own results in the lanes behind the last one.
void InputProduct::begin(CellBuffers& b, Index lanes, ThreadPool& pool) const {
  if (one_hot_) {
    transpose(round_up(lanes, kWidth), gates_ * b.units, b.x.data(), b.input_stride, b.wx_t.data(),
              b.lane_stride);
  } else {
    transpose(lanes, w_.columns, b.x.data(), b.input_stride, b.x_t.data(), b.lane_stride);
    b.x_factor.take(b.x_t.data(), b.lane_stride, w_.columns, lanes, pool);
  }
}

void InputProduct::forward(CellBuffers& b, Index first, Index n, Index lanes) const {
  if (one_hot_) return;
  const Index K = w_.columns;
  for (int gate = 0; gate < gates_; ++gate) {
    const Rows rows{w_.value + (gate * b.units + first) * K, K};
    multiply(n, lanes, K, rows, b.x_factor, b.wx(gate, first), b.lane_stride, false);
  }
}

void InputProduct::backward(CellBuffers& b, Index lanes, ThreadPool& pool) const {
  if (one_hot_) return;
  const Index K = w_.columns;
  b.d_wx_factor.take(b.d_wx_t.data(), b.lane_stride, w_.rows, lanes, pool);
  pool.run(unit_blocks(K), work() * lanes > kWorthSharing, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(K - first, kUnitBlock);
    multiply(n, lanes, w_.rows, Columns{w_.value + first, K}, b.d_wx_factor,
             b.d_x_t.data() + first * b.lane_stride, b.lane_stride, false);
  });
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
