// The LSTM, as torch.nn.LSTMCell (SPEC section 3), with the states h and c:
//
//   i = σ(W_i x + b_i + U_i h + c_i), f and o likewise, g = tanh(W_g x + b_g + U_g h + c_g),
//   c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c')
//
// Weights beside W: U (4H x H), b (4H), c (4H), gates in the order i, f, g, o.
#include "isa/cells/cells.h"
#include "isa/cells/input_product.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

class Lstm final : public Cell {
 public:
  Lstm(const Layer& layer, Index max_lanes)
      : H_(layer.units),
        w_hh_(layer.weights[0]),
        b_ih_(layer.weights[1]),
        b_hh_(layer.weights[2]),
        lane_stride_(row_stride(max_lanes)),
        tanh_c_(H_ * lane_stride_),
        d_bias_(4 * H_) {}

  void forward(CellBuffers& b, const InputProduct& input, Index lanes, ThreadPool& pool) override;
  void backward(CellBuffers& b, Index lanes, ThreadPool& pool) override;

  int weight_gradients(const CellBuffers& b, WeightGradient* gradients) const override {
    gradients[0] = {&w_hh_, 0, 4 * H_, b.d_wx_t.data(), b.state[0].before.data(), b.unit_stride};
    return 1;
  }

  int bias_gradients(BiasGradient* gradients) const override {
    gradients[0] = {&b_ih_, d_bias_.data()};
    gradients[1] = {&b_hh_, d_bias_.data()};
    return 2;
  }

 private:
  enum Gate { kInput, kForget, kCell, kOutput };

  Index H_;
  Parameter w_hh_, b_ih_, b_hh_;
  Index lane_stride_;
  Buffer tanh_c_;  // (H x B) tanh(c')
  Buffer d_bias_;
};

void Lstm::forward(CellBuffers& b, const InputProduct& input, Index lanes, ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* c_t = b.state[1].before_t.data();
  float* new_c_t = b.state[1].after_t.data();
  const bool shared = (input.work() + 4 * H * H) * lanes > kWorthSharing;
  pool.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    input.forward(b, first, n, lanes);
    for (int g = 0; g < 4; ++g) {
      multiply(n, lanes, H, Rows{w_hh_.value + (g * H + first) * H, H}, b.before_factor,
               b.wx(g, first), lane_stride, true);
    }
    const auto sum = [&](int g, Index j, Index i) {
      return load(b.wx(g, j) + i) + (b_ih_.value[g * H + j] + b_hh_.value[g * H + j]);
    };
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Index at = j * lane_stride + i;
        const Vec in = logistic(sum(kInput, j, i)), forget = logistic(sum(kForget, j, i));
        const Vec g = hyperbolic_tangent(sum(kCell, j, i)), out = logistic(sum(kOutput, j, i));
        const Vec c = forget * load(c_t + at) + in * g;
        const Vec tanh_c = hyperbolic_tangent(c);
        store(b.wx(kInput, j) + i, in);
        store(b.wx(kForget, j) + i, forget);
        store(b.wx(kCell, j) + i, g);
        store(b.wx(kOutput, j) + i, out);
        store(tanh_c_.data() + at, tanh_c);
        store(new_c_t + at, c);
        store_output(b, j, i, out * tanh_c);
      }
    }
  });
}

void Lstm::backward(CellBuffers& b, Index lanes, ThreadPool& pool) {
  const Index H = H_, lane_stride = lane_stride_;
  const float* c_t = b.state[1].before_t.data();
  pool.run(unit_blocks(H), 4 * H * H * lanes > kWorthSharing, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Index at = j * lane_stride + i;
        const Vec d_h = output_gradient(b, j, i);
        const Vec in = load(b.wx(kInput, j) + i), forget = load(b.wx(kForget, j) + i);
        const Vec g = load(b.wx(kCell, j) + i), out = load(b.wx(kOutput, j) + i);
        const Vec tanh_c = load(tanh_c_.data() + at);
        const Vec d_c = d_h * out * (1.0f - tanh_c * tanh_c);
        store(b.d_wx(kInput, j) + i, d_c * g * in * (1.0f - in));
        store(b.d_wx(kForget, j) + i, d_c * load(c_t + at) * forget * (1.0f - forget));
        store(b.d_wx(kCell, j) + i, d_c * in * (1.0f - g * g));
        store(b.d_wx(kOutput, j) + i, d_h * tanh_c * out * (1.0f - out));
      }
    }
    for (int g = 0; g < 4; ++g) {
      sum_rows(n, lanes, b.d_wx(g, first), lane_stride, d_bias_.data() + g * H + first);
    }
  });
}

void weight_sizes(Index H, MatrixSize* sizes) {
  sizes[0] = {4 * H, H};
  sizes[1] = sizes[2] = {1, 4 * H};
}

std::unique_ptr<Cell> make(const Layer& layer, Index max_lanes) {
  return std::unique_ptr<Cell>(new Lstm(layer, max_lanes));
}

}  // namespace

const CellEntry lstm = {{"lstm", 4, 2, 3, weight_sizes}, false, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
