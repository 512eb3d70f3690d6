// A loss that compares each lane's positive with every column, without a softmax, made from a Part:
//
//   struct Part {
//     static constexpr bool kMean;   // whether the sum over the columns is divided by their number
//     static constexpr float kTie;   // what a column of the positive's item adds by s_j - s_i = 0
//     // A row of score s that stands for `weight` columns; `others` of them are not the lane's.
//     // The difference is s - s_i, kNoDifference at the positive's row.
//     PairTerm term(Vec s, Vec difference, Vec weight, Vec others) const;
//   };
//
// No gradient depends on a sum over the columns but the positive's. So forward_tile() leaves the
// gradients of all others in d_scores().
#pragma once

#include <utility>

#include "isa/losses/loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr float kNoDifference = -1e15f;  // its logistic is 0

struct PairTerm {
  Vec value;     // of the loss
  Vec slope;     // the derivative by the difference
  Vec gradient;  // the derivative by s, that by the difference included
};

template <class Part>
class PairwiseLoss final : public Loss {
 public:
  PairwiseLoss(const LossSetup& setup, std::unique_ptr<Activation> activation);

  void begin(const PlannedStep& step, const float* h, Index h_stride) override;
  void forward_tile(Index tile) override;
  float finish() override;
  void backward_tile(Index tile) override;

 private:
  enum Sum { kValue, kSlope, kSums };

  float* tile_sum(Index tile, int which) {
    return tile_sums_.data() + (tile * kSums + which) * stride_;
  }

  Part part_;
  Buffer weight_;        // (U)
  Buffer positive_;      // (B) the positive's score
  Buffer target_row_;    // (B) the positive's row, as a number
  Buffer factor_;        // (B) of all gradients of the lane; 0 for dead lanes
  Buffer tile_sums_;     // (tiles x kSums x B)
  Buffer own_gradient_;  // (B) what is added to the gradient of the positive
};

template <class Part>
PairwiseLoss<Part>::PairwiseLoss(const LossSetup& setup, std::unique_ptr<Activation> activation)
    : Loss(setup, std::move(activation), false),
      weight_(max_rows_),
      positive_(stride_),
      target_row_(stride_),
      factor_(stride_),
      tile_sums_(max_tiles() * kSums * stride_),
      own_gradient_(stride_) {}

template <class Part>
void PairwiseLoss<Part>::begin(const PlannedStep& step, const float* h, Index h_stride) {
  step_ = step;
  Index columns = 0;
  for (Index u = 0; u < step.scored; ++u) {
    bias_.data()[u] = setup_.by.value[step.rows[u]];
    const Index weight = step.target_count[u] + step.sample_count[u];
    weight_.data()[u] = static_cast<float>(weight);
    columns += weight;
  }
  const Index divisor = Part::kMean ? setup_.batch_size * columns : setup_.batch_size;
  for (Index i = 0; i < stride_; ++i) {
    const bool live = i < step.live;
    factor_.data()[i] = live ? 1.0f / static_cast<float>(divisor) : 0.0f;
    target_row_.data()[i] = live ? static_cast<float>(step.target_row[i]) : -1.0f;
  }
  score_positives(h, h_stride, positive_.data());
}

template <class Part>
void PairwiseLoss<Part>::forward_tile(Index tile) {
  activate_tile(tile);
  const Part part = part_;
  const Index first = first_row(tile), end = end_row(tile);
  for (Index i = 0; i < step_.live; i += kWidth) {
    const Vec positive = load(positive_.data() + i), target = load(target_row_.data() + i);
    const Vec factor = load(factor_.data() + i);
    Vec value{}, slope{};
    for (Index u = first; u < end; ++u) {
      const Vec s = load(scores(u) + i), weight = broadcast(weight_.data()[u]);
      const auto own = target == broadcast(static_cast<float>(u));
      const Vec difference = own ? broadcast(kNoDifference) : s - positive;
      const Vec others = own ? weight - 1.0f : weight;
      const PairTerm term = part.term(s, difference, weight, others);
      value += term.value;
      slope += term.slope;
      store(d_scores(u) + i, term.gradient * factor);
    }
    store(tile_sum(tile, kValue) + i, value);
    store(tile_sum(tile, kSlope) + i, slope);
  }
}

template <class Part>
float PairwiseLoss<Part>::finish() {
  double loss = 0;
  for (Index i = 0; i < step_.live; ++i) {
    const float ties = weight_.data()[step_.target_row[i]];
    double value = static_cast<double>(ties * Part::kTie), slope = 0;
    for (Index t = 0; t < tiles(); ++t) {
      value += static_cast<double>(tile_sum(t, kValue)[i]);
      slope += static_cast<double>(tile_sum(t, kSlope)[i]);
    }
    const auto factor = static_cast<double>(factor_.data()[i]);
    own_gradient_.data()[i] = static_cast<float>(-slope * factor);
    loss += value * factor;
  }
  return static_cast<float>(loss);
}

template <class Part>
void PairwiseLoss<Part>::backward_tile(Index tile) {
  for_targets_in(tile, [&](Index i) { d_scores_.data()[target_at(i)] += own_gradient_.data()[i]; });
  differentiate_activation(tile);
  sum_biases(tile);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
