// The GRU with the reset gate before the product, as in the paper (SPEC section 3):
//
//   r = σ(W_r x + b_r + U_r h), z likewise, n = act(W_n x + b_n + U_n (r ∘ h)),
//   h' = (1 - z) ∘ h + z ∘ n
//
// Weights beside W: U_r and U_z side by side (H x 2H), U_n (H x H), both applied from the right,
// and b (3H). The gates of W and b have the order n, r, z.
#include "isa/activation.h"
#include "isa/cells/cells.h"
#include "isa/cells/input_product.h"
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
        act_(make_activation(layer.activation)),
        lane_stride_(row_stride(max_lanes)),
        gates_(kBlocks * H_ * lane_stride_),
        d_reset_state_(H_ * lane_stride_),
        reset_state_factor_(layer.products, H_, max_lanes),
        d_new_factor_(layer.products, H_, max_lanes),
        d_bias_(3 * H_) {}

  void forward(CellBuffers& b, const InputProduct& input, Index lanes, ThreadPool& pool) override;
  void backward(CellBuffers& b, Index lanes, ThreadPool& pool) override;

  // U_r, U_z and U_n are applied from the right, so their gradients are h and r ∘ h times the
  // gradients of the sums.
  int weight_gradients(const CellBuffers& b, WeightGradient* gradients) const override {
    const float* d = b.d_wx_rows.data();
    const float* reset_state = gates_.data() + kResetState * H_ * lane_stride_;
    gradients[0] = {&w_n_, 0, H_, reset_state, d, b.gate_stride};
    gradients[1] = {&w_rz_, 0, H_, b.state[0].before_t.data(), d + H_, b.gate_stride};
    return 2;
  }

  int bias_gradients(BiasGradient* gradients) const override {
    gradients[0] = {&bias_, d_bias_.data()};
    return 1;
  }

 private:
  enum InputGate { kInputNew, kInputReset, kInputUpdate };
  enum Block { kReset, kUpdate, kNew, kResetState, kBlocks };  // kResetState is r ∘ h

  float* gate(int block, Index unit) { return gates_.data() + (block * H_ + unit) * lane_stride_; }

  Index H_;
  Parameter w_rz_, w_n_, bias_;
  std::unique_ptr<Activation> act_;  // null if linear
  Index lane_stride_;
  Buffer gates_, d_reset_state_;
  RightFactor reset_state_factor_;  // r ∘ h
  RightFactor d_new_factor_;        // the gradient of the candidate's sum
  Buffer d_bias_;
};

void GruResetBefore::forward(CellBuffers& b, const InputProduct& input, Index lanes,
                             ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* bias = bias_.value;
  const float* h_t = b.state[0].before_t.data();
  const bool shared = (input.work() + 2 * H * H) * lanes > kWorthSharing;

  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    input.forward(b, first, n, lanes);
    for (int g : {kReset, kUpdate}) {
      multiply(n, lanes, H, Columns{w_rz_.value + g * H + first, 2 * H}, b.before_factor,
               gate(g, first), lane_stride, false);
    }
    for (Index j = first; j < first + n; ++j) {
      const float* x_r = b.wx(kInputReset, j);
      const float* x_z = b.wx(kInputUpdate, j);
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec r = logistic(load(gate(kReset, j) + i) + load(x_r + i) + bias[H + j]);
        const Vec z = logistic(load(gate(kUpdate, j) + i) + load(x_z + i) + bias[2 * H + j]);
        store(gate(kReset, j) + i, r);
        store(gate(kUpdate, j) + i, z);
        store(gate(kResetState, j) + i, r * load(h_t + j * lane_stride + i));
      }
    }
  });

  reset_state_factor_.take(gate(kResetState, 0), lane_stride, H, lanes, pool);
  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    multiply(n, lanes, H, Columns{w_n_.value + first, H}, reset_state_factor_, gate(kNew, first),
             lane_stride, false);
    for (Index j = first; j < first + n; ++j) {
      float* sum = gate(kNew, j);
      const float* x_n = b.wx(kInputNew, j);
      for (Index i = 0; i < lanes; i += kWidth) {
        store(sum + i, load(sum + i) + load(x_n + i) + bias[j]);
      }
    }
    if (act_ != nullptr) act_->forward({n, lanes, lane_stride}, gate(kNew, first));
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec h_j = load(h_t + j * lane_stride + i), n_j = load(gate(kNew, j) + i);
        store_output(b, j, i, h_j + load(gate(kUpdate, j) + i) * (n_j - h_j));
      }
    }
  });
}

void GruResetBefore::backward(CellBuffers& b, Index lanes, ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* h_t = b.state[0].before_t.data();
  for (Index j = 0; j < H; ++j) {
    for (Index i = 0; i < lanes; i += kWidth) {
      const Vec d_h = output_gradient(b, j, i);
      const Vec h_j = load(h_t + j * lane_stride + i);
      const Vec z = load(gate(kUpdate, j) + i), n_j = load(gate(kNew, j) + i);
      store(b.d_wx(kInputNew, j) + i, d_h * z);
      store(b.d_wx(kInputUpdate, j) + i, d_h * (n_j - h_j) * z * (1.0f - z));
    }
  }
  if (act_ != nullptr) {
    act_->backward({H, lanes, lane_stride}, gate(kNew, 0), b.d_wx(kInputNew, 0));
  }

  d_new_factor_.take(b.d_wx(kInputNew, 0), lane_stride, H, lanes, pool);
  pool.run(unit_blocks(H), 2 * H * H * lanes > kWorthSharing, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    float* d_reset_state = d_reset_state_.data();
    multiply(n, lanes, H, Rows{w_n_.value + first * H, H}, d_new_factor_,
             d_reset_state + first * lane_stride, lane_stride, false);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Index at = j * lane_stride + i;
        const Vec r = load(gate(kReset, j) + i), h_j = load(h_t + at);
        store(b.d_wx(kInputReset, j) + i, load(d_reset_state + at) * h_j * r * (1.0f - r));
      }
    }
  });
  sum_rows(3 * H, lanes, b.d_wx_t.data(), lane_stride, d_bias_.data());
}

void weight_sizes(Index H, MatrixSize* sizes) {
  sizes[0] = {H, 2 * H};
  sizes[1] = {H, H};
  sizes[2] = {1, 3 * H};
}

std::unique_ptr<Cell> make(const Layer& layer, Index max_lanes) {
  return std::unique_ptr<Cell>(new GruResetBefore(layer, max_lanes));
}

}  // namespace

const CellEntry gru_reset_before = {{"gru-reset-before", 3, 1, 3, weight_sizes}, true, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
