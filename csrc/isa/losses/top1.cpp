// TOP1 (SPEC section 5): the mean over all columns of σ(s_j - s_i) + σ(s_j^2), but without the
// second part for the lane's own column.
#include "isa/losses/losses.h"
#include "isa/losses/pairwise_loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct Top1 {
  static constexpr bool kMean = true;
  static constexpr float kTie = 0.5f;

  PairTerm term(Vec s, Vec d, Vec weight, Vec others) const {
    const Vec e = exponential(d > 0.0f ? -d : d), r = 1.0f / (1.0f + e);
    const Vec logistic_d = d > 0.0f ? r : e * r;
    const Vec y = exponential(-(s * s)), q = 1.0f / (1.0f + y);
    const Vec slope = weight * (e * r * r);
    return {weight * logistic_d + others * q, slope, slope + others * (2.0f * s * (y * q * q))};
  }
};

}  // namespace

const LossEntry top1 = {{"top1", {}}, make_loss<PairwiseLoss<Top1>>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
