#include "isa/input_rows.h"

#include "isa/dropout.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

InputRows::InputRows(const Network& network, Index max_lanes, Index max_rows)
    : network_(network),
      stride_(row_stride(network.input.columns)),
      mask_(max_lanes * stride_),
      d_x_(max_lanes * stride_),
      gradient_(max_lanes * stride_),
      place_(max_rows),
      items_(max_lanes) {}

void InputRows::find(const PlannedStep& step) {
  for (Index u = 0; u < step.touched; ++u) place_[u] = -1;
  rows_ = 0;
  for (Index i = 0; i < step.live; ++i) {
    std::int32_t& place = place_[step.input_row[i]];
    if (place >= 0) continue;
    place = static_cast<std::int32_t>(rows_);
    items_[rows_++] = step.rows[step.input_row[i]];
  }
  for (Index k = 0; k < rows_ * stride_; ++k) gradient_.data()[k] = 0;
}

void InputRows::read(const PlannedStep& step, std::uint64_t seed, CellBuffers& first) {
  find(step);
  const Index K = network_.input.columns;
  float* x = first.x.data();
  for (Index i = 0; i < step.live; ++i) {
    const Index item = step.rows[step.input_row[i]];
    copy(x + i * stride_, network_.input.value + item * K, K);
  }
  const DropoutSite& dropout = network_.input_dropout;
  if (dropout.rate <= 0) return;
  fill_dropout(seed, step.step, dropout.number, step.first_lane, step.live, K, dropout.rate,
               mask_.data(), stride_);
  for (Index k = 0; k < step.live * stride_; k += kWidth) {
    store(x + k, load(x + k) * load(mask_.data() + k));
  }
}

void InputRows::update(const PlannedStep& step, bool one_hot, CellBuffers& first,
                       const Optimiser& optimiser) {
  const Index K = network_.input.columns;
  float* d = first.d_wx_rows.data();
  if (!one_hot) {
    d = d_x_.data();
    transpose(K, step.live, first.d_x_t.data(), first.lane_stride, d, stride_);
    if (network_.input_dropout.rate > 0) {
      for (Index k = 0; k < step.live * stride_; k += kWidth) {
        store(d + k, load(d + k) * load(mask_.data() + k));
      }
    }
  }
  for (Index i = 0; i < step.live; ++i) {
    if (i < rows_) prefetch_row(network_.input, items_[i]);
    float* g = gradient_.data() + place_[step.input_row[i]] * stride_;
    for (Index k = 0; k < stride_; k += kWidth) {
      store(g + k, load(g + k) + load(d + i * stride_ + k));
    }
  }
  optimiser.update(network_.input, {items_.data(), 0, rows_}, gradient_.data(), stride_,
                   RowOrigin::kInputs);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
