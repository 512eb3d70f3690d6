// A layer over the steps of a block: its cell, the states that it carries, and dropout.
#pragma once

#include "engine/training_step.h"
#include "isa/cells/cell.h"
#include "isa/cells/input_product.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class LayerStep {
 public:
  LayerStep(const Layer& layer, Index max_lanes);

  // Reads the state of the step before, or writes the one of the last step (`live` lanes).
  void load_state(const LayerState& state);
  void store_state(LayerState& state, Index live) const;
  // The same for lane i alone: a row of the state.
  void load_lane(Index i, const float* row);
  void store_lane(Index i, float* row) const;

  // Computes the new state from `buffers().x`.
  void forward(const PlannedStep& step, std::uint64_t seed, ThreadPool& pool);
  // Computes the gradient of x from the one of the new state, and updates the weights.
  void backward(const PlannedStep& step, const BackwardContext& context);

  bool one_hot_input() const { return layer_.one_hot; }
  Index state_width() const { return entry_.kind.states * layer_.units; }
  Index scratch() const { return weight_scratch(layer_); }  // floats of Scratch::gradient
  CellBuffers& buffers() { return b_; }
  float* output() { return b_.state[0].after.data(); }  // (B x H)

 private:
  void carry(const PlannedStep& step, CellState& state);
  void make_mask(const PlannedStep& step, std::uint64_t seed);
  void update_weights(Index lanes, const BackwardContext& context);

  Layer layer_;
  const CellEntry& entry_;
  CellBuffers b_;
  RightFactor y_[kMaxWeightGradients + 1];  // of the weights' gradients
  InputProduct input_;
  std::unique_ptr<Cell> cell_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
