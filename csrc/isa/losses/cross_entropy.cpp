// Cross-entropy over all columns (SPEC section 5), with the logQ correction (section 4) and label
// smoothing.
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

enum Option { kLogQ, kSampleAlpha, kSmoothing };

struct CrossEntropy {
  static constexpr bool kNegativesOnly = false;
  static constexpr int kSums = 1;
  static constexpr int kConstants = 0;

  explicit CrossEntropy(const OptionValues& options)
      : logq(static_cast<float>(options.value[kLogQ])),
        alpha(static_cast<float>(options.value[kSampleAlpha])) {}

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

// Cross-entropy with label smoothing e: with e' = e / (N - 1) and l_j = -log(p_j + 1e-24), the loss
// is (1 - N e') l_i + e' Σ l_j over all N columns. With c_j = p_j / (p_j + 1e-24), the gradient of
// the score of column j is
//
//   p_j ((1 - N e') c_i + e' Σ c) - e' c_j - [positive] (1 - N e') c_i.
//
// With logQ, the columns of a row that are targets have another probability than its samples.
class SmoothedCrossEntropy final : public SoftmaxLoss<CrossEntropy> {
 public:
  SmoothedCrossEntropy(const LossSetup& setup, std::unique_ptr<Activation> activation)
      : SoftmaxLoss(setup, std::move(activation)),
        smoothing_(setup.options.value[kSmoothing]),
        share_of_target_(max_rows_),
        share_of_sample_(max_rows_),
        log_sum_(stride_),
        certain_sum_(stride_) {}

  void begin(const PlannedStep& step, const float* h, Index h_stride) override;
  float finish() override;
  void backward_tile(Index tile) override;

 private:
  // The columns of one row for the lanes of a vector: sums of l_j and of c_j.
  struct Columns {
    Vec log_sum, certain_sum;
  };

  Columns columns(Index u, Vec p) const;
  Vec certainty(Index u, Vec p) const;
  void sum_columns(Index tile);
  double finish_smoothed(Index lane);

  double smoothing_;
  double spread_ = 0;                         // e'
  double kept_ = 0;                           // 1 - N e'
  Buffer share_of_target_, share_of_sample_;  // (U) of the softmax, beside an e of 1: support^-logq
  Buffer log_sum_, certain_sum_;              // (B) Σ l and Σ c
};

void SmoothedCrossEntropy::begin(const PlannedStep& step, const float* h, Index h_stride) {
  SoftmaxLoss::begin(step, h, h_stride);
  Index n = 0;
  const Vec one = broadcast(1.0f), none{};
  for (Index u = 0; u < step.scored; ++u) {
    n += step.target_count[u] + step.sample_count[u];
    const auto support = static_cast<float>(setup_.support[step.rows[u]]);
    share_of_target_.data()[u] = part_.weigh(one, none, broadcast(support))[0];
    share_of_sample_.data()[u] = part_.weigh(none, one, broadcast(support))[0];
  }
  spread_ = smoothing_ / static_cast<double>(n - 1);
  kept_ = 1 - static_cast<double>(n) * spread_;
}

Vec SmoothedCrossEntropy::certainty(Index u, Vec p) const {
  const Vec targets = p * share_of_target_.data()[u], samples = p * share_of_sample_.data()[u];
  return static_cast<float>(step_.target_count[u]) * (targets / (targets + kLogEpsilon)) +
         static_cast<float>(step_.sample_count[u]) * (samples / (samples + kLogEpsilon));
}

SmoothedCrossEntropy::Columns SmoothedCrossEntropy::columns(Index u, Vec p) const {
  const auto n_targets = static_cast<float>(step_.target_count[u]);
  const auto n_samples = static_cast<float>(step_.sample_count[u]);
  Vec log_sum{};
  if (n_targets > 0) {
    log_sum -= n_targets * logarithm(p * share_of_target_.data()[u] + kLogEpsilon);
  }
  if (n_samples > 0) {
    log_sum -= n_samples * logarithm(p * share_of_sample_.data()[u] + kLogEpsilon);
  }
  return {log_sum, certainty(u, p)};
}

// In: worth() by which e^(s - high) of the tile becomes the p of a column of share 1.
void SmoothedCrossEntropy::sum_columns(Index tile) {
  for (Index i = 0; i < step_.live; i += kWidth) {
    const Vec scale = load(worth(tile) + i);
    Vec log_sum{}, certain_sum{};
    for (Index u = first_row(tile); u < end_row(tile); ++u) {
      const Columns row = columns(u, load(d_scores(u) + i) * scale);
      log_sum += row.log_sum;
      certain_sum += row.certain_sum;
    }
    store(log_sum_.data() + i, load(log_sum_.data() + i) + log_sum);
    store(certain_sum_.data() + i, load(certain_sum_.data() + i) + certain_sum);
  }
}

double SmoothedCrossEntropy::finish_smoothed(Index i) {
  const Index u = step_.target_row[i];
  const float p =
      d_scores_.data()[target_at(i)] * worth(u / tile_rows_)[i] * share_of_target_.data()[u];
  const double c = kept_ * static_cast<double>(p / (p + kLogEpsilon));
  const auto batch_size = static_cast<double>(setup_.batch_size);
  const double certain = static_cast<double>(certain_sum_.data()[i]);
  factor_.data()[i] = static_cast<float>((c + spread_ * certain) / batch_size);
  own_gradient_.data()[i] = static_cast<float>(-c / batch_size);
  return -kept_ * std::log(static_cast<double>(p) + kLogEpsilon) +
         spread_ * static_cast<double>(log_sum_.data()[i]);
}

float SmoothedCrossEntropy::finish() {
  combine_tiles();
  for (Index i = 0; i < stride_; ++i) {
    log_sum_.data()[i] = certain_sum_.data()[i] = 0;
    factor_.data()[i] = i < step_.live ? 1.0f / total(0)[i] : 0.0f;
  }
  scale_worth();
  for (Index t = 0; t < tiles(); ++t) sum_columns(t);
  double loss = 0;
  for (Index i = 0; i < step_.live; ++i) loss += finish_smoothed(i);
  return static_cast<float>(loss / static_cast<double>(setup_.batch_size));
}

void SmoothedCrossEntropy::backward_tile(Index tile) {
  const auto spread = static_cast<float>(spread_ / static_cast<double>(setup_.batch_size));
  for (Index i = 0; i < step_.live; i += kWidth) {
    const Vec scale = load(worth(tile) + i), factor = load(factor_.data() + i);
    for (Index u = first_row(tile); u < end_row(tile); ++u) {
      const Vec p = load(d_scores(u) + i) * scale;
      store(d_scores(u) + i, factor * (weight_.data()[u] * p) - spread * certainty(u, p));
    }
  }
  finish_gradients(tile);
}

std::unique_ptr<Loss> make(const LossSetup& setup, std::unique_ptr<Activation> activation) {
  if (setup.options.value[kSmoothing] > 0) {
    return make_loss<SmoothedCrossEntropy>(setup, std::move(activation));
  }
  return make_loss<SoftmaxLoss<CrossEntropy>>(setup, std::move(activation));
}

}  // namespace

const LossEntry cross_entropy = {{"cross-entropy", {"logq", "sample_alpha", "smoothing"}}, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
