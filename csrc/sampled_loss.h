// Cross-entropy and BPR-max of a step over its scored columns, and the gradient of the scores; the
// twin of kernels/sampled_loss.py and of `reference.cross_entropy`, `reference.bpr_max`.
//
// A repeated item has one score, so the columns are U unique rows with weights, which is exact.
// For cross-entropy with logQ a row weighs n_target support^-logq + n_sample support^(-alpha logq):
// the corrected softmax is the plain one over weighted exponentials. For BPR-max a row weighs its
// multiplicity, and each lane's own positive is left out once.
//
// Scores lie rows x lanes (U x B), in tiles of rows: begin(), forward_tile() of every tile in any
// order and on any thread, finish(), backward_tile() of every tile. Exponentials are taken once,
// relative to the highest score of tile and lane, and rescaled when all tiles are known.
#pragma once

#include "buffer.h"
#include "lane_matrix.h"
#include "training_step.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class SampledLoss {
 public:
  SampledLoss(const Settings& settings, Index max_lanes, Index max_rows, Index tile_rows);

  // Starts a step whose last state is h (lanes x units); the plan is borrowed until the step ends.
  void begin(const StepPlan& plan, const Network& network, const float* h, Index h_stride);
  // In: the products h . Wy[row] in scores(). Out: e^(s - high) in d_scores(), and
  // the tile's sums by lane.
  void forward_tile(Index tile);
  // The step's loss: the sum over lanes divided by B.
  float finish();
  // Out: the gradient of the tile's scores in d_scores(), and summed over lanes in d_bias().
  void backward_tile(Index tile);

  Index tiles() const { return (plan_.scored + tile_rows_ - 1) / tile_rows_; }
  Index first_row(Index tile) const { return tile * tile_rows_; }
  Index end_row(Index tile) const { return at_most(first_row(tile) + tile_rows_, plan_.scored); }
  Index stride() const { return stride_; }  // floats from one row of scores to the next
  float* scores(Index row) { return (bpr() ? s_ : exponential_).data() + row * stride_; }
  float* d_scores(Index row) { return exponential_.data() + row * stride_; }
  const float* bias(Index row) const { return bias_.data() + row; }
  const float* d_bias(Index row) const { return d_bias_.data() + row; }

 private:
  // Sums over a tile, by lane: of the weighted exponentials w, and for BPR-max of w q, w s^2 and
  // w q (1 - q), where q = σ(s_i - s_j).
  enum Sum { kWeight, kLikelihood, kSquares, kSlope, kSums };

  bool bpr() const { return settings_.loss == Loss::kBprMax; }
  bool corrected() const { return !bpr() && settings_.logq > 0; }
  float* scale(Index tile) { return scale_.data() + tile * stride_; }
  float* against(Index tile) { return against_.data() + tile * stride_; }
  float* tile_sum(Index tile, int which) {
    return tile_sums_.data() + (tile * kSums + which) * stride_;
  }
  float* total(int which) { return totals_.data() + which * stride_; }
  Index target_at(Index lane) const { return plan_.target_row[lane] * stride_ + lane; }
  template <class Use>
  void for_targets_in(Index tile, Use use);

  void read_rows(const Parameter& by);
  void weigh_rows();
  void find_positives(const Network& network, const float* h, Index h_stride);
  void activate_tile(Index tile);
  template <bool kBpr>
  void sum_tile(Index tile);
  void combine_tiles();
  double finish_cross_entropy(Index lane);
  double finish_bpr_max(Index lane);
  void differentiate_cross_entropy(Index tile, Index lane);
  void differentiate_bpr_max(Index tile, Index lane);

  Settings settings_;
  StepPlan plan_{};
  Index stride_, tile_rows_;
  // (U x B); cross-entropy has one for both, which holds product, score, exponential and gradient
  // in turn.
  Buffer s_, exponential_;
  Buffer bias_, weight_, d_bias_;  // (U)
  Buffer scale_, against_;         // (tiles x B): see sum_tile() and combine_tiles()
  Buffer tile_sums_, totals_;      // (tiles x kSums x B), (kSums x B)
  // (B): the target's score, for BPR-max; what its own column weighs, for BPR-max as a negative;
  // e^(own score - highest); the gradient of the target's score; and of the other scores a
  // factor for all, one of q^2 and a constant.
  Buffer positive_, own_weight_, own_exponential_, own_gradient_, factor_, inverse_, constant_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
