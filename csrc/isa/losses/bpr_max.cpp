// BPR-max (SPEC section 5).
//
// With w the softmax over the negatives, q = σ(s_i - s_j), L = Σ w q, R = Σ w s^2 and
// D = 1 / (L + 1e-24): the loss is -log(L + 1e-24) + bpreg R; the gradient of a negative's score s
// is w (D (L - q^2) + bpreg (s^2 + 2 s - R)), the one of the positive's -D Σ w q (1 - q).
//
// A row weighs its multiplicity; each lane's own positive is left out once. Subtracting it from
// sums over all columns would cancel, so it is left out before.
#include <cmath>

#include "isa/losses/losses.h"
#include "isa/losses/softmax_loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

enum Option { kBpreg };

struct BprMax : NegativesPart {
  // Sums of w, w q, w s^2 and w q (1 - q).
  enum Sum { kWeight, kLikelihood, kSquares, kSlope, kSums };
  enum Constant { kInverse, kConstant, kConstants };

  explicit BprMax(const OptionValues& options) : bpreg(static_cast<float>(options.value[kBpreg])) {}

  void add(Vec s, Vec e, Vec w, Vec relative, Vec* sums) const {
    const Vec q = 1.0f / (1.0f + e * relative);
    sums[kLikelihood] += w * q;
    sums[kSquares] += w * (s * s);
    sums[kSlope] += w * (q - q * q);
  }

  // q = σ(0) = 1/2, q (1 - q) = 1/4.
  void add_positive(Vec s, Vec w, Vec* sums) const {
    sums[kLikelihood] += 0.5f * w;
    sums[kSquares] += w * (s * s);
    sums[kSlope] += 0.25f * w;
  }

  double finish(SoftmaxLane& lane) const {
    const float weight = lane.sums[kWeight];
    const float likelihood = lane.sums[kLikelihood] / weight;
    const float squares = lane.sums[kSquares] / weight;
    const float inverse = 1.0f / (likelihood + kLogEpsilon);
    const float constant = inverse * likelihood - bpreg * squares;
    lane.factor = 1.0f / (weight * lane.batch_size);
    lane.constants[kInverse] = inverse;
    lane.constants[kConstant] = constant;

    const float s = lane.positive;
    const float w = lane.own_weight * lane.own_exponential / weight;
    const float as_negative = constant - 0.25f * inverse + bpreg * (s * s + 2 * s);
    lane.own_gradient = (w * as_negative - inverse * lane.sums[kSlope] / weight) *
                        lane.positive_slope / lane.batch_size;
    return -std::log(static_cast<double>(likelihood) + kLogEpsilon) +
           static_cast<double>(bpreg * squares);
  }

  Vec gradient(Vec s, Vec e, float weight, Vec worth, Vec relative, const Vec* constants) const {
    const Vec q = 1.0f / (1.0f + e * relative);
    const Vec regular = bpreg * (s * s + 2.0f * s);
    return (e * (weight * worth)) *
           (constants[kConstant] - constants[kInverse] * (q * q) + regular);
  }

  float bpreg;
};

}  // namespace

const LossEntry bpr_max = {{"bpr-max", {"bpreg"}}, make_loss<SoftmaxLoss<BprMax>>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
