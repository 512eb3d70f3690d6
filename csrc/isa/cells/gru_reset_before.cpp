// The GRU with the reset gate before the product, as in the paper (SPEC section 3). Its input is
// one-hot: x (B x 3H) are rows of the input table, in the order n, r, z.
//
//   r = σ(x_r + b_r + U_r h), z likewise, n = tanh(x_n + b_n + U_n (r ∘ h)),
//   h' = (1 - z) ∘ h + z ∘ n
//
// Weights: U_r and U_z side by side (H x 2H), U_n (H x H), both applied from the right, b (3H) in
// the order n, r, z.
#include "isa/cells/cells.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

class GruResetBefore final : public Cell {
 public:
  GruResetBefore(const Layer& layer, Index max_lanes)
      : H_(layer.units),
        w_rz_(layer.weights[0]),
        w_n_(layer.weights[1]),
        bias_(layer.weights[2]),
        lane_stride_(row_stride(max_lanes)),
        gates_(kBlocks * H_ * lane_stride_),
        d_gates_(kGradientBlocks * H_ * lane_stride_),
        d_bias_(3 * H_) {}

  void forward(CellBuffers& b, Index lanes, ThreadPool& pool) override;
  void backward(CellBuffers& b, Index lanes, const BackwardContext& context) override;

 private:
  enum Block { kReset, kUpdate, kNew, kResetState, kBlocks };  // kResetState is r ∘ h
  enum GradientBlock { kDNew, kDReset, kDUpdate, kDResetState, kGradientBlocks };

  float* gate(int block, Index unit) { return gates_.data() + (block * H_ + unit) * lane_stride_; }
  float* d_gate(int block, Index unit) {
    return d_gates_.data() + (block * H_ + unit) * lane_stride_;
  }

  void backward_gates(CellBuffers& b, Index lanes, ThreadPool& pool, bool shared);

  Index H_;
  Parameter w_rz_, w_n_, bias_;
  Index lane_stride_;
  Buffer gates_, d_gates_, d_bias_;
};

void GruResetBefore::forward(CellBuffers& b, Index lanes, ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* bias = bias_.value;
  const float* h_t = b.state[0].before_t.data();
  float* out_t = b.state[0].after_t.data();
  const bool shared = 2 * H * H * lanes > kWorthSharing;

  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (int g : {kReset, kUpdate}) {
      product(n, lanes, H, Columns{w_rz_.value + g * H + first, 2 * H}, h_t, lane_stride,
              gate(g, first), lane_stride, false);
    }
    for (Index j = first; j < first + n; ++j) {
      const float* x_r = b.x_t.data() + (H + j) * lane_stride;
      const float* x_z = b.x_t.data() + (2 * H + j) * lane_stride;
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec r = logistic(load(gate(kReset, j) + i) + load(x_r + i) + bias[H + j]);
        const Vec z = logistic(load(gate(kUpdate, j) + i) + load(x_z + i) + bias[2 * H + j]);
        store(gate(kReset, j) + i, r);
        store(gate(kUpdate, j) + i, z);
        store(gate(kResetState, j) + i, r * load(h_t + j * lane_stride + i));
      }
    }
  });

  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    product(n, lanes, H, Columns{w_n_.value + first, H}, gate(kResetState, 0), lane_stride,
            gate(kNew, first), lane_stride, false);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec h_j = load(h_t + j * lane_stride + i);
        const Vec x_n = load(b.x_t.data() + j * lane_stride + i);
        const Vec n_j = hyperbolic_tangent(load(gate(kNew, j) + i) + x_n + bias[j]);
        Vec new_h = h_j + load(gate(kUpdate, j) + i) * (n_j - h_j);
        if (b.dropped) new_h *= load(b.mask_t.data() + j * lane_stride + i);
        store(gate(kNew, j) + i, n_j);
        store(out_t + j * lane_stride + i, new_h);
      }
    }
  });
}

void GruResetBefore::backward_gates(CellBuffers& b, Index lanes, ThreadPool& pool, bool shared) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* h_t = b.state[0].before_t.data();
  for (Index j = 0; j < H; ++j) {
    for (Index i = 0; i < lanes; i += kWidth) {
      Vec d_h = load(b.d_after_t.data() + j * lane_stride + i);
      if (b.dropped) d_h *= load(b.mask_t.data() + j * lane_stride + i);
      const Vec h_j = load(h_t + j * lane_stride + i);
      const Vec z = load(gate(kUpdate, j) + i), n_j = load(gate(kNew, j) + i);
      store(d_gate(kDNew, j) + i, d_h * z * (1.0f - n_j * n_j));
      store(d_gate(kDUpdate, j) + i, d_h * (n_j - h_j) * z * (1.0f - z));
    }
  }

  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    product(n, lanes, H, Rows{w_n_.value + first * H, H}, d_gate(kDNew, 0), lane_stride,
            d_gate(kDResetState, first), lane_stride, false);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec r = load(gate(kReset, j) + i);
        const Vec h_j = load(h_t + j * lane_stride + i);
        store(d_gate(kDReset, j) + i, load(d_gate(kDResetState, j) + i) * h_j * r * (1.0f - r));
      }
    }
  });
}

void GruResetBefore::backward(CellBuffers& b, Index lanes, const BackwardContext& context) {
  const Index H = H_, blocks = unit_blocks(H);
  const bool shared = 2 * H * H * lanes > kWorthSharing;
  backward_gates(b, lanes, context.pool, shared);
  transpose(3 * H, lanes, d_gates_.data(), lane_stride_, b.d_x.data(), b.input_stride);

  context.pool.run(2 * blocks, shared, [&](Index chunk, int thread) {
    const Index first = chunk / 2 * kUnitBlock, n = at_most(H - first, kUnitBlock);
    if (chunk % 2 == 0) {
      update_rows(w_n_, first, n, lanes, gate(kResetState, first), lane_stride_, b.d_x.data(),
                  b.input_stride, context.optimiser, context.scratch[thread]);
    } else {
      const float* h_t = b.state[0].before_t.data() + first * lane_stride_;
      update_rows(w_rz_, first, n, lanes, h_t, lane_stride_, b.d_x.data() + H, b.input_stride,
                  context.optimiser, context.scratch[thread]);
    }
  });
  sum_rows(3 * H, lanes, d_gates_.data(), lane_stride_, d_bias_.data());
  update_bias(bias_, d_bias_.data(), context.optimiser);
}

void weight_sizes(Index, Index H, MatrixSize* sizes) {
  sizes[0] = {H, 2 * H};
  sizes[1] = {H, H};
  sizes[2] = {1, 3 * H};
}

std::unique_ptr<Cell> make(const Layer& layer, Index max_lanes) {
  return std::unique_ptr<Cell>(new GruResetBefore(layer, max_lanes));
}

}  // namespace

const CellEntry gru_reset_before = {{"gru-reset-before", true, 1, 3, weight_sizes}, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
