// The GRU with the reset gate after the product, as torch.nn.GRUCell (SPEC section 3):
//
//   r = σ(W_r x + b_r + U_r h + c_r), z likewise,
//   n = tanh(W_n x + b_n + r ∘ (U_n h + c_n)), h' = (1 - z) ∘ n + z ∘ h
//
// Weights beside W: U (3H x H), b (3H), c (3H), gates in the order r, z, n.
#include "isa/cells/cells.h"
#include "isa/cells/input_product.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

class GruResetAfter final : public Cell {
 public:
  GruResetAfter(const Layer& layer, Index max_lanes)
      : H_(layer.units),
        w_hh_(layer.weights[0]),
        b_ih_(layer.weights[1]),
        b_hh_(layer.weights[2]),
        lane_stride_(row_stride(max_lanes)),
        n_h_(H_ * lane_stride_),
        d_n_h_(H_ * lane_stride_),
        d_b_ih_(3 * H_),
        d_b_hh_(3 * H_) {}

  void forward(CellBuffers& b, const InputProduct& input, Index lanes, ThreadPool& pool) override;
  void backward(CellBuffers& b, Index lanes, ThreadPool& pool) override;

  int weight_gradients(const CellBuffers& b, WeightGradient* gradients) const override {
    const float* h = b.state[0].before.data();
    gradients[0] = {&w_hh_, 0, 2 * H_, b.d_wx_t.data(), h, b.unit_stride};
    gradients[1] = {&w_hh_, 2 * H_, H_, d_n_h_.data(), h, b.unit_stride};
    return 2;
  }

  int bias_gradients(BiasGradient* gradients) const override {
    gradients[0] = {&b_ih_, d_b_ih_.data()};
    gradients[1] = {&b_hh_, d_b_hh_.data()};
    return 2;
  }

 private:
  enum Gate { kReset, kUpdate, kNew };

  Index H_;
  Parameter w_hh_, b_ih_, b_hh_;
  Index lane_stride_;
  Buffer n_h_, d_n_h_;  // (H x B) U_n h + c_n, and its gradient
  Buffer d_b_ih_, d_b_hh_;
};

void GruResetAfter::forward(CellBuffers& b, const InputProduct& input, Index lanes,
                            ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* b_x = b_ih_.value;
  const float* b_h = b_hh_.value;
  const float* h_t = b.state[0].before_t.data();
  const bool shared = (input.work() + 3 * H * H) * lanes > kWorthSharing;
  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    input.forward(b, first, n, lanes);
    for (int g = 0; g < 3; ++g) {
      float* to = g == kNew ? n_h_.data() + first * lane_stride : b.wx(g, first);
      multiply(n, lanes, H, Rows{w_hh_.value + (g * H + first) * H, H}, b.before_factor, to,
               lane_stride, g != kNew);
    }
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        float* recurrent = n_h_.data() + j * lane_stride + i;
        const Vec h_j = load(h_t + j * lane_stride + i);
        const Vec r = logistic(load(b.wx(kReset, j) + i) + (b_x[j] + b_h[j]));
        const Vec z = logistic(load(b.wx(kUpdate, j) + i) + (b_x[H + j] + b_h[H + j]));
        const Vec n_h = load(recurrent) + b_h[2 * H + j];
        const Vec n_j = hyperbolic_tangent(load(b.wx(kNew, j) + i) + b_x[2 * H + j] + r * n_h);
        store(b.wx(kReset, j) + i, r);
        store(b.wx(kUpdate, j) + i, z);
        store(b.wx(kNew, j) + i, n_j);
        store(recurrent, n_h);
        store_output(b, j, i, n_j + z * (h_j - n_j));
      }
    }
  });
}

void GruResetAfter::backward(CellBuffers& b, Index lanes, ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* h_t = b.state[0].before_t.data();
  pool.run(unit_blocks(H), 3 * H * H * lanes > kWorthSharing, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec d_h = output_gradient(b, j, i);
        const Vec h_j = load(h_t + j * lane_stride + i);
        const Vec r = load(b.wx(kReset, j) + i), z = load(b.wx(kUpdate, j) + i);
        const Vec n_j = load(b.wx(kNew, j) + i), n_h = load(n_h_.data() + j * lane_stride + i);
        const Vec d_n = d_h * (1.0f - z) * (1.0f - n_j * n_j);
        store(b.d_wx(kReset, j) + i, d_n * n_h * r * (1.0f - r));
        store(b.d_wx(kUpdate, j) + i, d_h * (h_j - n_j) * z * (1.0f - z));
        store(b.d_wx(kNew, j) + i, d_n);
        store(d_n_h_.data() + j * lane_stride + i, d_n * r);
      }
    }
    for (int g = 0; g < 3; ++g) {
      sum_rows(n, lanes, b.d_wx(g, first), lane_stride, d_b_ih_.data() + g * H + first);
      if (g != kNew) copy(d_b_hh_.data() + g * H + first, d_b_ih_.data() + g * H + first, n);
    }
    sum_rows(n, lanes, d_n_h_.data() + first * lane_stride, lane_stride,
             d_b_hh_.data() + kNew * H + first);
  });
}

void weight_sizes(Index H, MatrixSize* sizes) {
  sizes[0] = {3 * H, H};
  sizes[1] = sizes[2] = {1, 3 * H};
}

std::unique_ptr<Cell> make(const Layer& layer, Index max_lanes) {
  return std::unique_ptr<Cell>(new GruResetAfter(layer, max_lanes));
}

}  // namespace

const CellEntry gru_reset_after = {{"gru-reset-after", 3, 1, 3, weight_sizes}, false, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
