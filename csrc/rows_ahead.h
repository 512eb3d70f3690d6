// Rows of a table on their way from memory while a product is computed.
//
// Two things stop a core that asks for memory. Some twenty cache lines can be on their way, and who
// asks for one more waits; so a line is asked for every few columns of the product, as a Meanwhile
// of product(). And an address on a page that the processor does not know yet holds up
// all that follows until the page is found; so the pages of many rows are asked for at once, when
// several are looked up side by side.
#pragma once

#include "product.h"
#include "training_step.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// The rows[begin .. end - 1] of a matrix whose rows are `stride` floats apart; rows begin .. end -
// 1 where `rows` is null.
struct RowRange {
  const float* matrix;
  Index columns, stride;
  const std::int32_t* rows;
  Index begin, end;

  const float* row(Index i) const { return matrix + (rows != nullptr ? rows[i] : i) * stride; }
};

// Inlined by force, as prefetch() of sparse_adagrad.h is.
__attribute__((always_inline)) inline void find_pages(const RowRange& range) {
  for (Index i = range.begin; i < range.end; ++i) __builtin_prefetch(range.row(i));
}

// Of the Adagrad state of a parameter: the accumulators, and the momenta that lie beside them.
inline RowRange state_rows(const Parameter& p, const std::int32_t* rows, Index begin, Index end) {
  const Index columns = p.momentum == p.accumulator + p.columns ? 2 * p.columns : p.columns;
  return {p.accumulator, columns, p.state_stride, rows, begin, end};
}

class RowsAhead {
 public:
  // Spreads the lines of the rows over a product of this product_length().
  RowsAhead(const RowRange& range, Index length) : range_(range), next_(range.begin) {
    const Index lines = (range.end - range.begin) * (range.columns * kFloat / kLine + 1);
    interval_ = at_least(length / at_least(lines, 1), 1);
    next_row();
  }

  Index interval() const { return interval_; }

  __attribute__((always_inline)) void operator()() {
    __builtin_prefetch(line_);
    line_ += step_;
    if (--left_ == 0) next_row();
  }

 private:
  static constexpr Index kFloat = sizeof(float), kLine = 64;  // bytes

  __attribute__((always_inline)) void next_row() {
    if (next_ == range_.end) {
      line_ = reinterpret_cast<const char*>(this);  // on a known page, for the calls left over
      step_ = 0;
      left_ = PTRDIFF_MAX;
      return;
    }
    line_ = reinterpret_cast<const char*>(range_.row(next_++));
    const auto into_line = static_cast<Index>(reinterpret_cast<std::uintptr_t>(line_) % kLine);
    left_ = (into_line + range_.columns * kFloat + kLine - 1) / kLine;
  }

  RowRange range_;
  Index next_, interval_;
  const char* line_ = nullptr;
  Index step_ = kLine, left_ = 0;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
