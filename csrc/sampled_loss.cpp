#include "sampled_loss.h"

#include <cmath>

#include "vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr float kLogEpsilon = 1e-24f;
constexpr float kNoScore = -1e15f;  // its exponential is 0, its square still a number
constexpr float kLargest = 1e30f;

Vec elu(Vec s, float alpha) {
  return s > 0.0f ? s : alpha * (exponential(minimum(s, Vec{})) - 1.0f);
}

float dot(const float* a, const float* b, Index n) {
  Vec total{};
  Index k = 0;
  for (; k + kWidth <= n; k += kWidth) total += load(a + k) * load(b + k);
  if (k < n) total += load_first(a + k, n - k) * load_first(b + k, n - k);
  return sum(total);
}

}  // namespace

SampledLoss::SampledLoss(const Settings& settings, Index max_lanes, Index max_rows, Index tile_rows)
    : settings_(settings), stride_(row_stride(max_lanes)), tile_rows_(tile_rows) {
  const Index rows = round_up(max_rows, tile_rows), n_tiles = rows / tile_rows;
  exponential_ = Buffer(rows * stride_);
  if (bpr()) s_ = Buffer(rows * stride_);
  Buffer* const by_row[] = {&bias_, &weight_, &d_bias_};
  for (Buffer* row : by_row) *row = Buffer(rows);
  Buffer* const by_tile[] = {&scale_, &against_};
  for (Buffer* tile : by_tile) *tile = Buffer(n_tiles * stride_);
  tile_sums_ = Buffer(n_tiles * kSums * stride_);
  totals_ = Buffer(kSums * stride_);
  Buffer* const by_lane[] = {&positive_, &own_weight_, &own_exponential_, &own_gradient_,
                             &factor_,   &inverse_,    &constant_};
  for (Buffer* lane : by_lane) *lane = Buffer(stride_);
}

void SampledLoss::begin(const StepPlan& plan, const Network& network, const float* h,
                        Index h_stride) {
  plan_ = plan;
  read_rows(network.by);
  weigh_rows();
  if (bpr()) find_positives(network, h, h_stride);
}

// Biases, and for the logQ correction supports, into bias_ and weight_. Nothing else is done
// meanwhile: all these reads miss the caches, and a core waits for as many together as it can see.
void SampledLoss::read_rows(const Parameter& by) {
  for (Index u = 0; u < plan_.scored; ++u) {
    const Index row = plan_.rows[u];
    bias_.data()[u] = by.value[row];
    if (corrected()) weight_.data()[u] = static_cast<float>(settings_.support[row]);
  }
}

void SampledLoss::weigh_rows() {
  for (Index u = 0; u < plan_.scored; u += kWidth) {
    Vec targets{}, samples{};
    for (Index j = 0; j < at_most(plan_.scored - u, kWidth); ++j) {
      targets[j] = static_cast<float>(plan_.target_count[u + j]);
      samples[j] = static_cast<float>(plan_.sample_count[u + j]);
    }
    if (corrected()) {
      const Vec log_q = settings_.logq * logarithm(load(weight_.data() + u));
      targets *= exponential(-log_q);
      samples *= exponential(-settings_.alpha * log_q);
    }
    store(weight_.data() + u, targets + samples);
  }
  for (Index i = 0; i < plan_.live; ++i) {
    const Index u = plan_.target_row[i];
    float own = bpr() ? weight_.data()[u] - 1.0f : 1.0f;
    if (corrected()) {
      const auto support = static_cast<float>(settings_.support[plan_.rows[u]]);
      own = exponential(-settings_.logq * logarithm(broadcast(support)))[0];
    }
    own_weight_.data()[i] = own;
  }
}

// Before any tile: every q needs the positive score.
void SampledLoss::find_positives(const Network& network, const float* h, Index h_stride) {
  float* positive = positive_.data();
  const Index H = network.wy.columns;
  for (Index i = 0; i < plan_.live; ++i) {
    const Index row = plan_.rows[plan_.target_row[i]];
    positive[i] = dot(h + i * h_stride, network.wy.value + row * H, H) + network.by.value[row];
  }
  if (settings_.elu <= 0) return;
  for (Index i = 0; i < plan_.live; i += kWidth) {
    store(positive + i, elu(load(positive + i), settings_.elu));
  }
}

// Calls use(lane) for every lane whose target is a row of the tile.
template <class Use>
void SampledLoss::for_targets_in(Index tile, Use use) {
  const Index first = first_row(tile), end = end_row(tile);
  for (Index i = 0; i < plan_.live; ++i) {
    if (plan_.target_row[i] >= first && plan_.target_row[i] < end) use(i);
  }
}

void SampledLoss::forward_tile(Index tile) {
  if (bpr()) {
    activate_tile(tile);
    for_targets_in(tile, [&](Index i) { s_.data()[target_at(i)] = kNoScore; });
    sum_tile<true>(tile);
  } else {
    sum_tile<false>(tile);
  }
}

void SampledLoss::activate_tile(Index tile) {
  const float alpha = settings_.elu;
  const Index end = end_row(tile);
  for (Index u = first_row(tile); u < end; ++u) {
    float* s = scores(u);
    const float bias = bias_.data()[u];
    for (Index i = 0; i < plan_.live; i += kWidth) {
      const Vec score = load(s + i) + bias;
      store(s + i, alpha > 0 ? elu(score, alpha) : score);
    }
  }
}

// Leaves e^(s - high) in d_scores(), and `high`, the highest score of the tile, in scale().
template <bool kBpr>
void SampledLoss::sum_tile(Index tile) {
  const Index first = first_row(tile), n = end_row(tile) - first;
  const float* bias = bias_.data() + first;
  const float* weights = weight_.data() + first;
  for (Index i = 0; i < plan_.live; i += kWidth) {
    float* s = scores(first) + i;
    float* d = d_scores(first) + i;
    Vec high = broadcast(kNoScore);
    for (Index u = 0; u < n; ++u) {
      Vec score = load(s + u * stride_);
      if constexpr (!kBpr) {
        score += bias[u];
        store(s + u * stride_, score);
      }
      high = maximum(high, score);
    }
    store(scale(tile) + i, high);
    // q = 1 / (1 + e^(s_j - high) e^(high - s_i)) takes no exponential of its own.
    Vec over{};
    if constexpr (kBpr) {
      over = minimum(exponential(high - load(positive_.data() + i)), broadcast(kLargest));
      store(against(tile) + i, over);
    }
    Vec weight{}, likelihood{}, squares{}, slope{};
    for (Index u = 0; u < n; ++u) {
      const Vec score = load(s + u * stride_);
      const Vec e = exponential(score - high);
      const Vec w = weights[u] * e;
      store(d + u * stride_, e);
      weight += w;
      if constexpr (kBpr) {
        const Vec q = 1.0f / (1.0f + e * over);
        likelihood += w * q;
        squares += w * (score * score);
        slope += w * (q - q * q);
      }
    }
    store(tile_sum(tile, kWeight) + i, weight);
    if constexpr (kBpr) {
      store(tile_sum(tile, kLikelihood) + i, likelihood);
      store(tile_sum(tile, kSquares) + i, squares);
      store(tile_sum(tile, kSlope) + i, slope);
    }
  }
}

// Sums over all tiles, relative to the highest score of the lane; scale() becomes what an
// exponential of the tile is worth.
void SampledLoss::combine_tiles() {
  const int n_sums = bpr() ? kSums : 1;
  for (Index i = 0; i < plan_.live; i += kWidth) {
    const Vec own_weight = load(own_weight_.data() + i), positive = load(positive_.data() + i);
    Vec high = broadcast(kNoScore);
    for (Index t = 0; t < tiles(); ++t) high = maximum(high, load(scale(t) + i));
    if (bpr()) high = own_weight > 0.0f ? maximum(high, positive) : high;
    Vec sums[kSums] = {};
    for (Index t = 0; t < tiles(); ++t) {
      const Vec worth = exponential(load(scale(t) + i) - high);
      store(scale(t) + i, worth);
      for (int k = 0; k < n_sums; ++k) sums[k] += worth * load(tile_sum(t, k) + i);
    }
    if (bpr()) {
      // Further occurrences of the positive are negatives: q = σ(0) = 1/2, q (1 - q) = 1/4.
      const Vec e = exponential(minimum(positive - high, Vec{}));
      const Vec w = own_weight * e;
      store(own_exponential_.data() + i, e);
      sums[kWeight] += w;
      sums[kLikelihood] += 0.5f * w;
      sums[kSquares] += w * (positive * positive);
      sums[kSlope] += 0.25f * w;
    }
    for (int k = 0; k < n_sums; ++k) store(total(k) + i, sums[k]);
  }
}

float SampledLoss::finish() {
  combine_tiles();
  double loss = 0;
  for (Index i = 0; i < plan_.live; ++i) {
    loss += bpr() ? finish_bpr_max(i) : finish_cross_entropy(i);
  }
  for (Index i = plan_.live; i < round_up(plan_.live, kWidth); ++i) factor_.data()[i] = 0;
  for (Index t = 0; t < tiles(); ++t) {
    for (Index i = 0; i < plan_.live; i += kWidth) {
      store(scale(t) + i, load(scale(t) + i) * load(factor_.data() + i));
    }
  }
  return static_cast<float>(loss / static_cast<double>(settings_.batch_size));
}

// With p the softmax of the positive column: -log(p + 1e-24), gradient c (softmax - [positive]),
// c = p / (p + 1e-24).
double SampledLoss::finish_cross_entropy(Index lane) {
  const float weight = total(kWeight)[lane];
  const Index tile = plan_.target_row[lane] / tile_rows_;
  const float e = exponential_.data()[target_at(lane)] * scale(tile)[lane];
  const float p = own_weight_.data()[lane] * e / weight;
  const float c = p / (p + kLogEpsilon) / static_cast<float>(settings_.batch_size);
  factor_.data()[lane] = c / weight;
  own_gradient_.data()[lane] = -c;
  return -std::log(static_cast<double>(p) + kLogEpsilon);
}

// With w the softmax over the negatives, L = Σ w q, R = Σ w s^2 and D = 1 / (L + 1e-24):
// -log(L + 1e-24) + bpreg R; the gradient of a negative's score s is
// w (D (L - q^2) + bpreg (s^2 + 2 s - R)), that of the positive's is -D Σ w q (1 - q).
double SampledLoss::finish_bpr_max(Index lane) {
  const float weight = total(kWeight)[lane];
  const float likelihood = total(kLikelihood)[lane] / weight;
  const float squares = total(kSquares)[lane] / weight;
  const float inverse = 1.0f / (likelihood + kLogEpsilon);
  const float constant = inverse * likelihood - settings_.bpreg * squares;
  const float batch = static_cast<float>(settings_.batch_size);
  factor_.data()[lane] = 1.0f / (weight * batch);
  inverse_.data()[lane] = inverse;
  constant_.data()[lane] = constant;

  const float s = positive_.data()[lane];
  const float w = own_weight_.data()[lane] * own_exponential_.data()[lane] / weight;
  const float as_negative = constant - 0.25f * inverse + settings_.bpreg * (s * s + 2 * s);
  const float slope = settings_.elu > 0 && s <= 0 ? s + settings_.elu : 1.0f;
  own_gradient_.data()[lane] =
      (w * as_negative - inverse * total(kSlope)[lane] / weight) * slope / batch;
  return -std::log(static_cast<double>(likelihood) + kLogEpsilon) +
         static_cast<double>(settings_.bpreg * squares);
}

void SampledLoss::backward_tile(Index tile) {
  for (Index i = 0; i < plan_.live; i += kWidth) {
    if (bpr()) {
      differentiate_bpr_max(tile, i);
    } else {
      differentiate_cross_entropy(tile, i);
    }
  }
  for_targets_in(tile, [&](Index i) {
    float& d = exponential_.data()[target_at(i)];
    d = own_gradient_.data()[i] + (bpr() ? 0.0f : d);
  });
  const Index first = first_row(tile);
  sum_rows(end_row(tile) - first, plan_.live, d_scores(first), stride_, d_bias_.data() + first);
}

void SampledLoss::differentiate_cross_entropy(Index tile, Index lane) {
  const Index first = first_row(tile), n = end_row(tile) - first;
  const Vec worth = load(scale(tile) + lane);
  const float* weights = weight_.data() + first;
  float* d = d_scores(first) + lane;
  for (Index u = 0; u < n; ++u, d += stride_) store(d, load(d) * (weights[u] * worth));
}

void SampledLoss::differentiate_bpr_max(Index tile, Index lane) {
  const Index first = first_row(tile), n = end_row(tile) - first;
  const Vec worth = load(scale(tile) + lane), over = load(against(tile) + lane);
  const Vec inverse = load(inverse_.data() + lane), constant = load(constant_.data() + lane);
  const float alpha = settings_.elu, bpreg = settings_.bpreg;
  const float* weights = weight_.data() + first;
  const float* scores_of = scores(first) + lane;
  float* d = d_scores(first) + lane;
  for (Index u = 0; u < n; ++u, d += stride_, scores_of += stride_) {
    const Vec s = load(scores_of), e = load(d);
    const Vec q = 1.0f / (1.0f + e * over);
    const Vec regular = bpreg * (s * s + 2.0f * s);
    Vec d_s = (e * (weights[u] * worth)) * (constant - inverse * (q * q) + regular);
    if (alpha > 0) d_s *= s > 0.0f ? broadcast(1.0f) : s + alpha;
    store(d, d_s);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
