// A loss by the softmax of each lane's scores, over all columns or over its negatives, made from a
// Part:
//
//   struct Part {
//     // Whether the softmax is over the negatives: the lane's own positive is left out once. Such
//     // a loss knows the positive's score before any tile, and keeps the scores.
//     static constexpr bool kNegativesOnly;
//     static constexpr int kSums;  // sums over the columns, by lane; sum 0 is the one of weights
//     static constexpr int kConstants;  // numbers by lane that gradient() needs
//     explicit Part(const OptionValues& options);
//
//     // The weights of rows from their multiplicities as target and as sample and, if
//     // reads_support(), their items' support; and the weight of a lane's own column.
//     bool reads_support() const;
//     Vec weigh(Vec targets, Vec samples, Vec support) const;
//     float own_weight(float row_weight, float support) const;
//
//     // A number by lane and tile, from the highest score of the tile and the positive's; only
//     // with kNegativesOnly.
//     Vec relative(Vec high, Vec positive) const;
//     // Adds a column of score s, e = e^(s - high) and weighted exponential w to sums 1..
//     void add(Vec s, Vec e, Vec w, Vec relative, Vec* sums) const;
//     // The same for further occurrences of the positive; only with kNegativesOnly.
//     void add_positive(Vec s, Vec w, Vec* sums) const;
//     // The lane's loss; sets the gradients' factor, own gradient and constants.
//     double finish(SoftmaxLane& lane) const;
//     // The gradient of a score; worth = e^(high - highest score of the lane) * lane.factor.
//     Vec gradient(Vec s, Vec e, float weight, Vec worth, Vec relative,
//                  const Vec* constants) const;
//   };
//
// Exponentials are taken once, relative to the highest score of tile and lane, and rescaled when
// all tiles are known.
#pragma once

#include <utility>

#include "isa/losses/loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr float kLogEpsilon = 1e-24f;
inline constexpr float kNoScore = -1e15f;  // its exponential is 0, its square still a number

// One lane, when the sums over all its columns are known.
struct SoftmaxLane {
  const float* sums;      // relative to the highest score of the lane
  float positive;         // score of its positive; with kNegativesOnly
  float positive_slope;   // derivative of the activation there
  float own_weight;       // Part::own_weight()
  float own_exponential;  // of its positive
  float batch_size;
  // Results. The own gradient is the one of the positive's score; with kNegativesOnly the whole
  // gradient, before the activation, else what is added to its gradient as a column.
  float factor;
  float own_gradient;
  float* constants;
};

// The base of a Part over the negatives. A row weighs its multiplicity, the own one is left out
// once.
struct NegativesPart {
  static constexpr bool kNegativesOnly = true;

  bool reads_support() const { return false; }
  Vec weigh(Vec targets, Vec samples, Vec) const { return targets + samples; }
  float own_weight(float row_weight, float) const { return row_weight - 1.0f; }

  // e^(high - s_i): times e^(s_j - high) it is e^(s_j - s_i), which so needs no exponential of its
  // own.
  Vec relative(Vec high, Vec positive) const {
    return minimum(exponential(high - positive), broadcast(1e30f));
  }
};

template <class Part>
class SoftmaxLoss : public Loss {
 public:
  SoftmaxLoss(const LossSetup& setup, std::unique_ptr<Activation> activation);

  void begin(const PlannedStep& step, const float* h, Index h_stride) override;
  void forward_tile(Index tile) override;
  float finish() override;
  void backward_tile(Index tile) override;

 protected:
  static constexpr bool kNegativesOnly = Part::kNegativesOnly;
  static constexpr int kSums = Part::kSums, kConstants = Part::kConstants;
  static constexpr int kConstantRows = kConstants > 0 ? kConstants : 1;

  float* worth(Index tile) { return worth_.data() + tile * stride_; }
  float* relative(Index tile) { return relative_.data() + tile * stride_; }
  float* tile_sum(Index tile, int which) {
    return tile_sums_.data() + (tile * kSums + which) * stride_;
  }
  float* total(int which) { return totals_.data() + which * stride_; }

  void read_rows();
  void weigh_rows();
  void sum_tile(Index tile);
  void combine_tiles();
  double finish_lane(Index lane);
  void scale_worth();
  void differentiate(Index tile, Index lane);
  void finish_gradients(Index tile);

  Part part_;
  Buffer weight_;              // (U)
  Buffer worth_;               // (tiles x B) the highest score, later what an exponential is worth
  Buffer relative_;            // (tiles x B) Part::relative()
  Buffer tile_sums_, totals_;  // (tiles x kSums x B), (kSums x B)
  Buffer positive_;            // (B) the positive's score
  Buffer own_weight_;          // (B)
  Buffer own_exponential_;     // (B) e^(positive - highest score), with kNegativesOnly
  Buffer own_gradient_;        // (B)
  Buffer factor_;              // (B) of all gradients of the lane
  Buffer constants_;           // (kConstants x B)
};

template <class Part>
SoftmaxLoss<Part>::SoftmaxLoss(const LossSetup& setup, std::unique_ptr<Activation> activation)
    : Loss(setup, std::move(activation), kNegativesOnly),
      part_(setup.options),
      weight_(max_rows_),
      worth_(max_tiles() * stride_),
      relative_(kNegativesOnly ? max_tiles() * stride_ : 0),
      tile_sums_(max_tiles() * kSums * stride_),
      totals_(kSums * stride_),
      positive_(stride_),
      own_weight_(stride_),
      own_exponential_(stride_),
      own_gradient_(stride_),
      factor_(stride_),
      constants_(kConstantRows * stride_) {}

template <class Part>
void SoftmaxLoss<Part>::begin(const PlannedStep& step, const float* h, Index h_stride) {
  step_ = step;
  read_rows();
  weigh_rows();
  if constexpr (kNegativesOnly) score_positives(h, h_stride, positive_.data());
}

// Biases, and supports into weight_, in a loop of their own: all these reads miss the caches, and a
// core has most of them outstanding at once if it does nothing else meanwhile.
template <class Part>
void SoftmaxLoss<Part>::read_rows() {
  const bool reads_support = part_.reads_support();
  for (Index u = 0; u < step_.scored; ++u) {
    const Index row = step_.rows[u];
    bias_.data()[u] = setup_.by.value[row];
    if (reads_support) weight_.data()[u] = static_cast<float>(setup_.support[row]);
  }
}

template <class Part>
void SoftmaxLoss<Part>::weigh_rows() {
  for (Index u = 0; u < step_.scored; u += kWidth) {
    Vec targets{}, samples{};
    for (Index j = 0; j < at_most(step_.scored - u, kWidth); ++j) {
      targets[j] = static_cast<float>(step_.target_count[u + j]);
      samples[j] = static_cast<float>(step_.sample_count[u + j]);
    }
    store(weight_.data() + u, part_.weigh(targets, samples, load(weight_.data() + u)));
  }
  const bool reads_support = part_.reads_support();
  for (Index i = 0; i < step_.live; ++i) {
    const Index u = step_.target_row[i];
    const float support = reads_support ? static_cast<float>(setup_.support[step_.rows[u]]) : 0.0f;
    own_weight_.data()[i] = part_.own_weight(weight_.data()[u], support);
  }
}

template <class Part>
void SoftmaxLoss<Part>::forward_tile(Index tile) {
  activate_tile(tile);
  if constexpr (kNegativesOnly) {
    for_targets_in(tile, [&](Index i) { scores_[target_at(i)] = kNoScore; });
  }
  sum_tile(tile);
}

// Leaves e^(s - high) in d_scores(), and `high`, the highest score of the tile, in worth().
template <class Part>
void SoftmaxLoss<Part>::sum_tile(Index tile) {
  const Index first = first_row(tile), n = end_row(tile) - first;
  const float* weights = weight_.data() + first;
  for (Index i = 0; i < step_.live; i += kWidth) {
    const float* s = scores(first) + i;
    float* d = d_scores(first) + i;
    Vec high = broadcast(kNoScore);
    for (Index u = 0; u < n; ++u) high = maximum(high, load(s + u * stride_));
    store(worth(tile) + i, high);
    Vec relative_to{};
    if constexpr (kNegativesOnly) {
      relative_to = part_.relative(high, load(positive_.data() + i));
      store(relative(tile) + i, relative_to);
    }
    Vec sums[kSums] = {};
    for (Index u = 0; u < n; ++u) {
      const Vec score = load(s + u * stride_);
      const Vec e = exponential(score - high);
      const Vec w = weights[u] * e;
      store(d + u * stride_, e);
      sums[0] += w;
      part_.add(score, e, w, relative_to, sums);
    }
    for (int k = 0; k < kSums; ++k) store(tile_sum(tile, k) + i, sums[k]);
  }
}

// Sums over all tiles, relative to the highest score of the lane. worth() becomes what an
// exponential of the tile is worth.
template <class Part>
void SoftmaxLoss<Part>::combine_tiles() {
  for (Index i = 0; i < step_.live; i += kWidth) {
    const Vec own_weight = load(own_weight_.data() + i), positive = load(positive_.data() + i);
    Vec high = broadcast(kNoScore);
    for (Index t = 0; t < tiles(); ++t) high = maximum(high, load(worth(t) + i));
    if constexpr (kNegativesOnly) high = own_weight > 0.0f ? maximum(high, positive) : high;
    Vec sums[kSums] = {};
    for (Index t = 0; t < tiles(); ++t) {
      const Vec scale = exponential(load(worth(t) + i) - high);
      store(worth(t) + i, scale);
      for (int k = 0; k < kSums; ++k) sums[k] += scale * load(tile_sum(t, k) + i);
    }
    if constexpr (kNegativesOnly) {
      // Further occurrences of the positive are negatives.
      const Vec e = exponential(minimum(positive - high, Vec{}));
      const Vec w = own_weight * e;
      store(own_exponential_.data() + i, e);
      sums[0] += w;
      part_.add_positive(positive, w, sums);
    }
    for (int k = 0; k < kSums; ++k) store(total(k) + i, sums[k]);
  }
}

template <class Part>
double SoftmaxLoss<Part>::finish_lane(Index i) {
  float sums[kSums], constants[kConstantRows] = {};
  for (int k = 0; k < kSums; ++k) sums[k] = total(k)[i];
  SoftmaxLane lane{};
  lane.sums = sums;
  lane.constants = constants;
  lane.own_weight = own_weight_.data()[i];
  lane.batch_size = static_cast<float>(setup_.batch_size);
  lane.positive_slope = 1.0f;
  if constexpr (kNegativesOnly) {
    lane.positive = positive_.data()[i];
    lane.own_exponential = own_exponential_.data()[i];
    if (activation_ != nullptr) lane.positive_slope = activation_->slope(lane.positive);
  } else {
    lane.own_exponential =
        d_scores_.data()[target_at(i)] * worth(step_.target_row[i] / tile_rows_)[i];
  }
  const double loss = part_.finish(lane);
  factor_.data()[i] = lane.factor;
  own_gradient_.data()[i] = lane.own_gradient;
  for (int k = 0; k < kConstants; ++k) constants_.data()[k * stride_ + i] = constants[k];
  return loss;
}

template <class Part>
float SoftmaxLoss<Part>::finish() {
  combine_tiles();
  double loss = 0;
  for (Index i = 0; i < step_.live; ++i) loss += finish_lane(i);
  for (Index i = step_.live; i < round_up(step_.live, kWidth); ++i) factor_.data()[i] = 0;
  scale_worth();
  return static_cast<float>(loss / static_cast<double>(setup_.batch_size));
}

// Multiplies what an exponential is worth by the factor of its lane.
template <class Part>
void SoftmaxLoss<Part>::scale_worth() {
  for (Index t = 0; t < tiles(); ++t) {
    for (Index i = 0; i < step_.live; i += kWidth) {
      store(worth(t) + i, load(worth(t) + i) * load(factor_.data() + i));
    }
  }
}

template <class Part>
void SoftmaxLoss<Part>::differentiate(Index tile, Index i) {
  const Index first = first_row(tile), n = end_row(tile) - first;
  const Vec scale = load(worth(tile) + i);
  Vec relative_to{}, constants[kConstantRows] = {};
  if constexpr (kNegativesOnly) relative_to = load(relative(tile) + i);
  for (int k = 0; k < kConstants; ++k) constants[k] = load(constants_.data() + k * stride_ + i);
  const float* weights = weight_.data() + first;
  const float* s = scores(first) + i;
  float* d = d_scores(first) + i;
  for (Index u = 0; u < n; ++u, d += stride_, s += stride_) {
    store(d, part_.gradient(load(s), load(d), weights[u], scale, relative_to, constants));
  }
}

template <class Part>
void SoftmaxLoss<Part>::backward_tile(Index tile) {
  for (Index i = 0; i < step_.live; i += kWidth) differentiate(tile, i);
  finish_gradients(tile);
}

// From the gradients of the tile's columns to those of its products.
template <class Part>
void SoftmaxLoss<Part>::finish_gradients(Index tile) {
  if constexpr (!kNegativesOnly) {
    for_targets_in(tile, [&](Index i) {
      float& d = d_scores_.data()[target_at(i)];
      d = own_gradient_.data()[i] + d;
    });
  }
  differentiate_activation(tile);
  if constexpr (kNegativesOnly) {
    for_targets_in(tile,
                   [&](Index i) { d_scores_.data()[target_at(i)] = own_gradient_.data()[i]; });
  }
  sum_biases(tile);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
