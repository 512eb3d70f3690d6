// Cross-entropy over all columns (SPEC section 5), with the logQ correction (section 4).
//
// A row weighs n_target + n_sample; with logQ n_target support^-logq + n_sample
// support^(-alpha logq): the corrected softmax is the plain one over weighted exponentials. With p
// the softmax of the positive column, the loss is -log(p + 1e-24), and the gradient of the scores
// c (softmax - [positive]), c = p / (p + 1e-24).
#include <cmath>

#include "isa/losses/losses.h"
#include "isa/losses/softmax_loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

enum Option { kLogQ, kSampleAlpha };

struct CrossEntropy {
  static constexpr bool kNegativesOnly = false;
  static constexpr int kSums = 1;
  static constexpr int kConstants = 0;

  explicit CrossEntropy(const OptionValues& options)
      : logq(options.value[kLogQ]), alpha(options.value[kSampleAlpha]) {}

  bool reads_support() const { return logq > 0; }

  Vec weigh(Vec targets, Vec samples, Vec support) const {
    if (logq > 0) {
      const Vec log_q = logq * logarithm(support);
      targets = rounded(targets * exponential(-log_q));
      samples = rounded(samples * exponential(-alpha * log_q));
    }
    return targets + samples;
  }

  float own_weight(float, float support) const {
    return logq > 0 ? exponential(-logq * logarithm(broadcast(support)))[0] : 1.0f;
  }

  void add(Vec, Vec, Vec, Vec, Vec*) const {}

  double finish(SoftmaxLane& lane) const {
    const float weight = lane.sums[0];
    const float p = lane.own_weight * lane.own_exponential / weight;
    const float c = p / (p + kLogEpsilon) / lane.batch_size;
    lane.factor = c / weight;
    lane.own_gradient = -c;
    return -std::log(static_cast<double>(p) + kLogEpsilon);
  }

  Vec gradient(Vec, Vec e, float weight, Vec worth, Vec, const Vec*) const {
    return e * (weight * worth);
  }

  float logq, alpha;
};

std::unique_ptr<Loss> make(const LossSetup& setup) {
  return std::unique_ptr<Loss>(new SoftmaxLoss<CrossEntropy>(setup, nullptr));
}

}  // namespace

const LossEntry cross_entropy = {{"cross-entropy", {"logq", "sample_alpha"}}, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
