// The plain recurrent cell, as torch.nn.RNNCell: h' = act(W x + b + U h + c); and the feed-forward
// layer, which is the same without U h + c and carries no state (SPEC section 3).
//
// Weights beside W: U (H x H), b (H), c (H); of the feed-forward layer b alone.
#include "isa/activation.h"
#include "isa/cells/cells.h"
#include "isa/cells/input_product.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

class Rnn final : public Cell {
 public:
  Rnn(const Layer& layer, bool recurrent)
      : H_(layer.units),
        recurrent_(recurrent),
        w_hh_(layer.weights[0]),
        b_ih_(layer.weights[recurrent ? 1 : 0]),
        b_hh_(layer.weights[2]),
        act_(make_activation(layer.activation)),
        d_bias_(H_) {}

  void forward(CellBuffers& b, const InputProduct& input, Index lanes, ThreadPool& pool) override {
    const Index H = H_, stride = b.lane_stride;
    const bool shared = (input.work() + (recurrent_ ? H * H : 0)) * lanes > kWorthSharing;
    pool.run(unit_blocks(H), shared, [&](Index block, int) {
      const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
      input.forward(b, first, n, lanes);
      if (recurrent_) {
        multiply(n, lanes, H, Rows{w_hh_.value + first * H, H}, b.before_factor, b.wx(0, first),
                 stride, true);
      }
      for (Index j = first; j < first + n; ++j) {
        const float bias = b_ih_.value[j] + (recurrent_ ? b_hh_.value[j] : 0.0f);
        float* sum = b.wx(0, j);
        for (Index i = 0; i < lanes; i += kWidth) store(sum + i, load(sum + i) + bias);
      }
      if (act_ != nullptr) act_->forward({n, lanes, stride}, b.wx(0, first));
      for (Index j = first; j < first + n; ++j) {
        for (Index i = 0; i < lanes; i += kWidth) store_output(b, j, i, load(b.wx(0, j) + i));
      }
    });
  }

  void backward(CellBuffers& b, Index lanes, ThreadPool&) override {
    for (Index j = 0; j < H_; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) store(b.d_wx(0, j) + i, output_gradient(b, j, i));
    }
    if (act_ != nullptr) {
      act_->backward({H_, lanes, b.lane_stride}, b.wx_t.data(), b.d_wx_t.data());
    }
    sum_rows(H_, lanes, b.d_wx_t.data(), b.lane_stride, d_bias_.data());
  }

  int weight_gradients(const CellBuffers& b, WeightGradient* gradients) const override {
    if (!recurrent_) return 0;
    gradients[0] = {&w_hh_, 0, H_, b.d_wx_t.data(), b.state[0].before.data(), b.unit_stride};
    return 1;
  }

  int bias_gradients(BiasGradient* gradients) const override {
    gradients[0] = {&b_ih_, d_bias_.data()};
    gradients[1] = {&b_hh_, d_bias_.data()};
    return recurrent_ ? 2 : 1;
  }

 private:
  Index H_;
  bool recurrent_;
  Parameter w_hh_, b_ih_, b_hh_;     // b_ih_ alone without recurrence
  std::unique_ptr<Activation> act_;  // null if linear
  Buffer d_bias_;
};

void rnn_sizes(Index H, MatrixSize* sizes) {
  sizes[0] = {H, H};
  sizes[1] = sizes[2] = {1, H};
}

std::unique_ptr<Cell> make_rnn(const Layer& layer, Index) {
  return std::unique_ptr<Cell>(new Rnn(layer, true));
}

void feed_forward_sizes(Index H, MatrixSize* sizes) {
  sizes[0] = {1, H};
}

std::unique_ptr<Cell> make_feed_forward(const Layer& layer, Index) {
  return std::unique_ptr<Cell>(new Rnn(layer, false));
}

}  // namespace

const CellEntry rnn = {{"rnn", 1, 1, 3, rnn_sizes}, false, make_rnn};
const CellEntry feed_forward = {
    {"feed-forward", 1, 0, 1, feed_forward_sizes}, false, make_feed_forward};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
