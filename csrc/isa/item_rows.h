// The scored item rows of a step: scores and loss, tile by tile; then, by the same tiles, the
// gradient of the last state, and the gradients of the rows, which the optimiser takes at once.
#pragma once

#include "engine/training_step.h"
#include "isa/cells/cell.h"
#include "isa/input_rows.h"
#include "isa/losses/loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Whether a loop over so many item rows of a step is worth sharing among threads.
inline bool worth_sharing(const Network& network, Index rows, Index lanes) {
  return rows * network.wy.columns * lanes > kWorthSharing;
}

class ItemRows {
 public:
  ItemRows(const Network& network, const TrainingSettings& settings, Index max_lanes,
           Index max_rows);

  // Computes the scores of the last layer's new state, and returns the step's loss.
  float forward(const PlannedStep& step, CellBuffers& last, ThreadPool& pool);
  // Computes the gradient of that state, and updates the item rows and biases; the gradients of
  // rows that are also inputs are deferred.
  void backward(const PlannedStep& step, CellBuffers& last, InputRows& inputs,
                const BackwardContext& context);

  Index gradient_scratch() const { return group_ * row_stride_; }  // floats of Scratch::gradient
  Index strips_scratch() const;                                    // floats of Scratch::strips

 private:
  // One tile of backward().
  struct Tile {
    Index number, share;
    bool first_of_share;
    int thread;
  };

  RowList scored(Index first, Index end) const;
  void score_tile(Index tile);
  void add_state_gradient(const Tile& tile, CellBuffers& last, Scratch& scratch);
  void update_group(Index first, Index n, InputRows& inputs, const BackwardContext& context,
                    Scratch& scratch);
  void sum_shares(Index shares, CellBuffers& last, ThreadPool& pool, bool share_work);

  Network network_;
  Products products_;
  PlannedStep step_{};
  Index tile_rows_, group_;  // rows that are scored, and updated, at a time
  bool packed_;              // whether a tile's rows are packed for the state's gradient
  Index row_stride_;         // floats of a row's gradient
  std::unique_ptr<Loss> loss_;
  Buffer shares_;        // (kShares x H x B) parts of the gradient of the last state
  RightFactor h_t_, h_;  // the last state (H x B), (B x H)
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
