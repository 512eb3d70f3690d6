// BPR (SPEC section 5): the sum of -log σ(s_i - s_j) over all columns, the own one included, which
// adds log 2.
#include "isa/losses/losses.h"
#include "isa/losses/pairwise_loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct Bpr {
  static constexpr bool kMean = false;
  static constexpr float kTie = 0.693147181f;

  // -log σ(-d) = max(d, 0) + log(1 + e^-|d|).
  PairTerm term(Vec, Vec d, Vec weight, Vec) const {
    const Vec e = exponential(d > 0.0f ? -d : d);
    const Vec above = d > 0.0f ? d : Vec{};
    const Vec slope = weight * ((d > 0.0f ? broadcast(1.0f) : e) / (1.0f + e));
    return {weight * (above + log_one_plus(e)), slope, slope};
  }
};

}  // namespace

const LossEntry bpr = {{"bpr", {}}, make_loss<PairwiseLoss<Bpr>>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
