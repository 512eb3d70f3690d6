// The products of a layer's input with the input weights of its gates, for every cell.
//
// A dense input x (B x K) is multiplied by W (G x K). A one-hot input is a row of a table of such
// products already, so there is nothing to multiply, and its gradient is that of the products.
#pragma once

#include "isa/cells/cell.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class InputProduct {
 public:
  InputProduct(const Layer& layer, const CellKind& kind)
      : w_(layer.input_weight), gates_(kind.gates), one_hot_(layer.one_hot) {}

  bool one_hot() const { return one_hot_; }
  // Multiply-adds of one lane.
  Index work() const { return one_hot_ ? 0 : w_.rows * w_.columns; }

  // Prepares forward() of a step from b.x.
  void begin(CellBuffers& b, Index lanes, ThreadPool& pool) const;
  // Computes wx_t of the units first .. first + n - 1 of every gate.
  void forward(CellBuffers& b, Index first, Index n, Index lanes) const;
  // Computes the gradient of the input from d_wx_t.
  void backward(CellBuffers& b, Index lanes, ThreadPool& pool) const;
  // The gradient of W, unless the input is one-hot.
  WeightGradient weight_gradient(const CellBuffers& b) const {
    return {&w_, 0, w_.rows, b.d_wx_t.data(), b.x.data(), b.input_stride};
  }

 private:
  Parameter w_;
  int gates_;
  bool one_hot_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
