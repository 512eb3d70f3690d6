// The GRU with the reset gate after the product, as torch.nn.GRUCell (SPEC section 3):
//
//   r = σ(W_r x + b_r + U_r h + c_r), z likewise,
//   n = tanh(W_n x + b_n + r ∘ (U_n h + c_n)), h' = (1 - z) ∘ n + z ∘ h
//
// Weights: W (3H x K), U (3H x H), b (3H), c (3H), gates in the order r, z, n.
#include "isa/cells/cells.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

class GruResetAfter final : public Cell {
 public:
  GruResetAfter(const Layer& layer, Index max_lanes)
      : H_(layer.units),
        K_(layer.inputs),
        w_ih_(layer.weights[0]),
        w_hh_(layer.weights[1]),
        b_ih_(layer.weights[2]),
        b_hh_(layer.weights[3]),
        lane_stride_(row_stride(max_lanes)),
        gates_(kBlocks * H_ * lane_stride_),
        d_gates_(kBlocks * H_ * lane_stride_),
        d_bias_(kBlocks * H_) {}

  void forward(CellBuffers& b, Index lanes, ThreadPool& pool) override;
  void backward(CellBuffers& b, Index lanes, const BackwardContext& context) override;

 private:
  // Blocks (H x B) of gates_ and d_gates_. In d_gates_, kReset and kUpdate are the gradients of the
  // sums inside σ, kNew the one of the sum inside tanh, kRecurrentNew the one of U_n h + c_n.
  enum Block { kReset, kUpdate, kNew, kRecurrentNew, kBlocks };

  float* gate(int block, Index unit) { return gates_.data() + (block * H_ + unit) * lane_stride_; }
  float* d_gate(int block, Index unit) {
    return d_gates_.data() + (block * H_ + unit) * lane_stride_;
  }
  // The block that rows g * H .. of U belong to.
  static int recurrent_block(int g) { return g == kNew ? kRecurrentNew : g; }

  void backward_gates(CellBuffers& b, Index lanes, ThreadPool& pool, bool shared);
  void update_weights(CellBuffers& b, Index lanes, const BackwardContext& context);

  Index H_, K_;
  Parameter w_ih_, w_hh_, b_ih_, b_hh_;
  Index lane_stride_;
  Buffer gates_, d_gates_, d_bias_;
};

void GruResetAfter::forward(CellBuffers& b, Index lanes, ThreadPool& pool) {
  const Index H = H_, K = K_, lane_stride = lane_stride_;
  const float* b_x = b_ih_.value;
  const float* b_h = b_hh_.value;
  const float* h_t = b.state[0].before_t.data();
  float* out_t = b.state[0].after_t.data();
  const bool shared = 3 * H * (K + H) * lanes > kWorthSharing;
  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (int g = 0; g < 3; ++g) {
      const Index row = g * H + first;
      product(n, lanes, K, Rows{w_ih_.value + row * K, K}, b.x_t.data(), lane_stride,
              gate(g, first), lane_stride, false);
      product(n, lanes, H, Rows{w_hh_.value + row * H, H}, h_t, lane_stride,
              gate(recurrent_block(g), first), lane_stride, g != kNew);
    }
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec h_j = load(h_t + j * lane_stride + i);
        const Vec r = logistic(load(gate(kReset, j) + i) + (b_x[j] + b_h[j]));
        const Vec z = logistic(load(gate(kUpdate, j) + i) + (b_x[H + j] + b_h[H + j]));
        const Vec n_h = load(gate(kRecurrentNew, j) + i) + b_h[2 * H + j];
        const Vec n_j = hyperbolic_tangent(load(gate(kNew, j) + i) + b_x[2 * H + j] + r * n_h);
        Vec new_h = n_j + z * (h_j - n_j);
        if (b.dropped) new_h *= load(b.mask_t.data() + j * lane_stride + i);
        store(gate(kReset, j) + i, r);
        store(gate(kUpdate, j) + i, z);
        store(gate(kNew, j) + i, n_j);
        store(gate(kRecurrentNew, j) + i, n_h);
        store(out_t + j * lane_stride + i, new_h);
      }
    }
  });
}

void GruResetAfter::backward_gates(CellBuffers& b, Index lanes, ThreadPool& pool, bool shared) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* h_t = b.state[0].before_t.data();
  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        Vec d_h = load(b.d_after_t.data() + j * lane_stride + i);
        if (b.dropped) d_h *= load(b.mask_t.data() + j * lane_stride + i);
        const Vec h_j = load(h_t + j * lane_stride + i);
        const Vec r = load(gate(kReset, j) + i), z = load(gate(kUpdate, j) + i);
        const Vec n_j = load(gate(kNew, j) + i), n_h = load(gate(kRecurrentNew, j) + i);
        const Vec d_n = d_h * (1.0f - z) * (1.0f - n_j * n_j);
        store(d_gate(kReset, j) + i, d_n * n_h * r * (1.0f - r));
        store(d_gate(kUpdate, j) + i, d_h * (h_j - n_j) * z * (1.0f - z));
        store(d_gate(kNew, j) + i, d_n);
        store(d_gate(kRecurrentNew, j) + i, d_n * r);
      }
    }
    for (int g = 0; g < kBlocks; ++g) {
      sum_rows(n, lanes, d_gate(g, first), lane_stride, d_bias_.data() + g * H + first);
    }
  });
}

void GruResetAfter::update_weights(CellBuffers& b, Index lanes, const BackwardContext& context) {
  const Index H = H_, K = K_, blocks = unit_blocks(H);
  const bool shared = 3 * H * (K + H) * lanes > kWorthSharing;
  context.pool.run(6 * blocks, shared, [&](Index chunk, int thread) {
    const int g = static_cast<int>(chunk / (2 * blocks));
    const Index first = chunk / 2 % blocks * kUnitBlock, n = at_most(H - first, kUnitBlock);
    if (chunk % 2 == 0) {
      update_rows(w_ih_, g * H + first, n, lanes, d_gate(g, first), lane_stride_, b.x.data(),
                  b.input_stride, context.optimiser, context.scratch[thread]);
    } else {
      update_rows(w_hh_, g * H + first, n, lanes, d_gate(recurrent_block(g), first), lane_stride_,
                  b.state[0].before.data(), b.unit_stride, context.optimiser,
                  context.scratch[thread]);
    }
  });
  float* d_b = d_bias_.data();
  update_bias(b_ih_, d_b, context.optimiser);
  for (Index j = 0; j < H; ++j) d_b[kNew * H + j] = d_b[kRecurrentNew * H + j];
  update_bias(b_hh_, d_b, context.optimiser);
}

void GruResetAfter::backward(CellBuffers& b, Index lanes, const BackwardContext& context) {
  const Index H = H_, K = K_, lane_stride = lane_stride_;
  const bool shared = 3 * H * K * lanes > kWorthSharing;
  backward_gates(b, lanes, context.pool, shared);
  context.pool.run(unit_blocks(K), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(K - first, kUnitBlock);
    product(n, lanes, 3 * H, Columns{w_ih_.value + first, K}, d_gates_.data(), lane_stride,
            b.d_x_t.data() + first * lane_stride, lane_stride, false);
  });
  update_weights(b, lanes, context);
}

void weight_sizes(Index K, Index H, MatrixSize* sizes) {
  sizes[0] = {3 * H, K};
  sizes[1] = {3 * H, H};
  sizes[2] = sizes[3] = {1, 3 * H};
}

std::unique_ptr<Cell> make(const Layer& layer, Index max_lanes) {
  return std::unique_ptr<Cell>(new GruResetAfter(layer, max_lanes));
}

}  // namespace

const CellEntry gru_reset_after = {{"gru-reset-after", false, 1, 4, weight_sizes}, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
