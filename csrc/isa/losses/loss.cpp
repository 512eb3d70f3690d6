#include "isa/losses/loss.h"

#include <utility>

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

// The sum of products, always in the same order.
float dot(const float* a, const float* b, Index n) {
  Vec total{};
  Index k = 0;
  for (; k + kWidth <= n; k += kWidth) total += load(a + k) * load(b + k);
  if (k < n) total += load_first(a + k, n - k) * load_first(b + k, n - k);
  return sum(total);
}

}  // namespace

Loss::Loss(const LossSetup& setup, std::unique_ptr<Activation> activation, bool keep_scores)
    : setup_(setup),
      activation_(std::move(activation)),
      stride_(row_stride(setup.max_lanes)),
      tile_rows_(setup.tile_rows),
      max_rows_(round_up(setup.max_rows, setup.tile_rows)),
      d_scores_(max_rows_ * stride_),
      bias_(max_rows_),
      d_bias_(max_rows_) {
  const bool two_buffers = keep_scores || activation_ != nullptr;
  if (two_buffers) kept_scores_ = Buffer(max_rows_ * stride_);
  scores_ = two_buffers ? kept_scores_.data() : d_scores_.data();
}

void Loss::activate_tile(Index tile) {
  const Index first = first_row(tile), end = end_row(tile);
  for (Index u = first; u < end; ++u) {
    float* s = scores(u);
    const float bias = bias_.data()[u];
    for (Index i = 0; i < step_.live; i += kWidth) store(s + i, load(s + i) + bias);
  }
  if (activation_ != nullptr) {
    activation_->forward({end - first, step_.live, stride_}, scores(first));
  }
}

void Loss::score_positives(const float* h, Index h_stride, float* positive) const {
  const Parameter& wy = setup_.wy;
  const Index H = wy.columns;
  for (Index i = 0; i < step_.live; ++i) {
    const Index row = step_.rows[step_.target_row[i]];
    positive[i] = dot(h + i * h_stride, wy.value + row * H, H) + setup_.by.value[row];
  }
  if (activation_ != nullptr) activation_->forward({1, step_.live, stride_}, positive);
}

void Loss::differentiate_activation(Index tile) {
  if (activation_ == nullptr) return;
  const Index first = first_row(tile);
  activation_->backward({end_row(tile) - first, step_.live, stride_}, scores(first),
                        d_scores(first));
}

void Loss::sum_biases(Index tile) {
  const Index first = first_row(tile);
  sum_rows(end_row(tile) - first, step_.live, d_scores(first), stride_, d_bias_.data() + first);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
