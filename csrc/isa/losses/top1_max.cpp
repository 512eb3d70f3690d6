// TOP1-max (SPEC section 5).
//
// With w the softmax over the negatives, x = e^(s_j - s_i), t = σ(s_j - s_i) + σ(s_j^2) and
// T = Σ w t: the loss is T; the gradient of a negative's score s is
// w (t - T + σ'(s - s_i) + 2 s σ'(s^2)), the one of the positive's -Σ w σ'(s_j - s_i).
#include "isa/losses/losses.h"
#include "isa/losses/softmax_loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct Top1Max : NegativesPart {
  // Sums of w, w t and w σ'(s_j - s_i).
  enum Sum { kWeight, kTerm, kSlope, kSums };
  enum Constant { kMeanTerm, kConstants };

  explicit Top1Max(const OptionValues&) {}

  void add(Vec s, Vec e, Vec w, Vec relative, Vec* sums) const {
    const Vec x = e * relative, q = 1.0f / (1.0f + x);
    sums[kTerm] += w * (x * q + square_term(s));
    sums[kSlope] += w * (x * q * q);
  }

  // σ(0) = 1/2, σ'(0) = 1/4.
  void add_positive(Vec s, Vec w, Vec* sums) const {
    sums[kTerm] += w * (0.5f + square_term(s));
    sums[kSlope] += 0.25f * w;
  }

  double finish(SoftmaxLane& lane) const {
    const float weight = lane.sums[kWeight];
    const float mean = lane.sums[kTerm] / weight;
    lane.factor = 1.0f / (weight * lane.batch_size);
    lane.constants[kMeanTerm] = mean;

    const Vec s = broadcast(lane.positive);
    const float w = lane.own_weight * lane.own_exponential / weight;
    const float as_negative = (0.75f + square_term(s) + square_slope(s))[0] - mean;
    lane.own_gradient =
        (w * as_negative - lane.sums[kSlope] / weight) * lane.positive_slope / lane.batch_size;
    return static_cast<double>(mean);
  }

  Vec gradient(Vec s, Vec e, float weight, Vec worth, Vec relative, const Vec* constants) const {
    const Vec x = e * relative, q = 1.0f / (1.0f + x);
    const Vec y = exponential(-(s * s)), r = 1.0f / (1.0f + y);
    const Vec term = x * q + r, slopes = x * q * q + 2.0f * s * (y * r * r);
    return (e * (weight * worth)) * (term - constants[kMeanTerm] + slopes);
  }

  // σ(s^2) and its derivative by s.
  static Vec square_term(Vec s) { return logistic(s * s); }
  static Vec square_slope(Vec s) {
    const Vec y = exponential(-(s * s)), r = 1.0f / (1.0f + y);
    return 2.0f * s * (y * r * r);
  }
};

}  // namespace

const LossEntry top1_max = {{"top1-max", {}}, make_loss<SoftmaxLoss<Top1Max>>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
