// The interface of a loss over the scored columns of a step.
//
// A repeated item has one score, so the columns are U unique rows with weights, which is exact.
// Scores lie rows x lanes (U x B), in tiles of rows. A step calls begin(), forward_tile() of every
// tile in any order and on any thread, finish(), and backward_tile() of every tile, likewise.
#pragma once

#include <memory>

#include "engine/buffer.h"
#include "engine/network.h"
#include "engine/parts.h"
#include "engine/step_block.h"
#include "isa/activation.h"
#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

struct LossSetup {
  Parameter wy, by;
  OptionValues options;
  const std::int64_t* support;  // (V,) events per item
  Index batch_size;             // the B that the loss is divided by
  Index max_lanes, max_rows;
  Index tile_rows;
};

class Loss {
 public:
  virtual ~Loss() = default;

  // Starts a step whose last state is h (lanes x H). The arrays of `step` are borrowed until the
  // step ends.
  virtual void begin(const PlannedStep& step, const float* h, Index h_stride) = 0;
  // In: the products h . Wy[row] in scores().
  virtual void forward_tile(Index tile) = 0;
  // The step's loss: the sum over lanes divided by B.
  virtual float finish() = 0;
  // Out: the gradient of the tile's scores in d_scores(), and its sum over lanes in d_bias().
  virtual void backward_tile(Index tile) = 0;

  Index tiles() const { return (step_.scored + tile_rows_ - 1) / tile_rows_; }
  Index first_row(Index tile) const { return tile * tile_rows_; }
  Index end_row(Index tile) const { return at_most(first_row(tile) + tile_rows_, step_.scored); }
  Index stride() const { return stride_; }  // floats from one row of scores to the next
  float* scores(Index row) { return scores_ + row * stride_; }
  float* d_scores(Index row) { return d_scores_.data() + row * stride_; }
  const float* d_bias(Index row) const { return d_bias_.data() + row; }

 protected:
  // Null for no activation. With keep_scores, or an activation, scores() and d_scores() are two
  // buffers; otherwise one holds product, score and gradient in turn.
  Loss(const LossSetup& setup, std::unique_ptr<Activation> activation, bool keep_scores);

  Index max_tiles() const { return max_rows_ / tile_rows_; }
  // Turns the tile's products into scores: adds the biases, which a loss reads in begin(), and
  // applies the activation.
  void activate_tile(Index tile);
  // The scores of the lanes' targets, before any tile has been computed.
  void score_positives(const float* h, Index h_stride, float* positive) const;
  // The last part of backward_tile(): from the gradients of activated scores to those of the
  // products.
  void differentiate_activation(Index tile);
  void sum_biases(Index tile);

  // The element of scores and gradients of the lane's target.
  Index target_at(Index lane) const { return step_.target_row[lane] * stride_ + lane; }

  // Calls use(lane) for every lane whose target is a row of the tile.
  template <class Use>
  void for_targets_in(Index tile, const Use& use) {
    const Index first = first_row(tile), end = end_row(tile);
    for (Index i = 0; i < step_.live; ++i) {
      if (step_.target_row[i] >= first && step_.target_row[i] < end) use(i);
    }
  }

  LossSetup setup_;
  std::unique_ptr<Activation> activation_;
  PlannedStep step_{};
  Index stride_, tile_rows_, max_rows_;
  Buffer d_scores_, kept_scores_;
  float* scores_;
  Buffer bias_, d_bias_;  // (U)
};

struct LossEntry {
  LossKind kind;
  std::unique_ptr<Loss> (*make)(const LossSetup& setup, std::unique_ptr<Activation> activation);
};

template <class AnyLoss>
std::unique_ptr<Loss> make_loss(const LossSetup& setup, std::unique_ptr<Activation> activation) {
  return std::unique_ptr<Loss>(new AnyLoss(setup, std::move(activation)));
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
