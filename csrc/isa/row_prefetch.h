// Prefetching rows of a table while a product is computed.
//
// Two things stall a core that reads rows at random. It can have about 20 outstanding loads, and
// one more waits; so a product prefetches one cache line every few columns of A. And a prefetch
// that misses the TLB blocks all later loads for some 40 ns; so the pages of many rows are looked
// up in one burst, because a core does several page walks at once.
#pragma once

#include "engine/network.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// The rows rows[begin .. end - 1] of a matrix, or begin .. end - 1 where `rows` is null.
struct RowList {
  const std::int32_t* rows;
  Index begin, end;

  Index size() const { return end - begin; }
  Index operator[](Index i) const { return rows != nullptr ? rows[begin + i] : begin + i; }
};

// Rows of a matrix whose rows are `stride` floats apart; `columns` of each are read.
struct MatrixRows {
  const float* matrix;
  Index columns, stride;
  RowList list;

  const float* row(Index i) const { return matrix + list[i] * stride; }
};

inline MatrixRows value_rows(const Parameter& p, const RowList& list) {
  return {p.value, p.columns, p.columns, list};
}

// The optimiser's state of the rows. Only the tables that lie beside the first one are prefetched,
// as further tables of their own would be too many loads.
inline MatrixRows state_rows(const Parameter& p, const RowList& list) {
  const StateTable& first = p.state[0];
  if (first.first == nullptr) return {nullptr, 0, 0, {nullptr, 0, 0}};
  Index columns = first.columns;
  for (const StateTable& table : p.state) {
    if (table.first == first.first + columns) columns += table.columns;
  }
  return {first.first, columns, first.stride, list};
}

// GCC 12 takes a function that only prefetches for one without effect and drops the call; so the
// functions below are force-inlined.

// Brings the TLB entries of the rows' pages.
__attribute__((always_inline)) inline void prefetch_pages(const MatrixRows& rows) {
  for (Index i = 0; i < rows.list.size(); ++i) __builtin_prefetch(rows.row(i));
}

__attribute__((always_inline)) inline void prefetch_floats(const float* first, Index n) {
  for (Index k = 0; k < n; k += 16) __builtin_prefetch(first + k);
  __builtin_prefetch(first + n - 1);
}

// Prefetches a row of a parameter and all of its optimiser state.
__attribute__((always_inline)) inline void prefetch_row(const Parameter& p, Index row) {
  prefetch_floats(p.value + row * p.columns, p.columns);
  for (const StateTable& table : p.state) {
    if (table.first != nullptr) prefetch_floats(table.first + row * table.stride, table.columns);
  }
}

// The `prefetch` of a product(): some cache lines of the rows each time.
class RowPrefetch {
 public:
  // Spreads the lines of the rows over a product of this product_length(), up to `most` at a time
  // where a product is short.
  RowPrefetch(const MatrixRows& rows, Index length, Index most = 4) : rows_(rows) {
    const Index lines = rows.list.size() * (rows.columns * kFloat / kLine + 1);
    interval_ = at_least(length / at_least(lines, 1), 1);
    at_once_ = at_least(at_most((lines + length - 1) / at_least(length, 1), most), 1);
    next_row();
  }

  Index interval() const { return interval_; }
  const MatrixRows& rows() const { return rows_; }

  __attribute__((always_inline)) void operator()() {
    const Index lines = kShortProducts ? at_once_ : 1;
    for (Index i = 0; i < lines; ++i) {
      __builtin_prefetch(line_);
      line_ += step_;
      if (--left_ == 0) next_row();
    }
  }

 private:
  static constexpr Index kFloat = sizeof(float), kLine = 64;  // bytes
  // Whether a product may have fewer columns than lines: its tiles are larger with AVX-512. The
  // loop in operator() costs 3 % of a step with AVX2.
  static constexpr bool kShortProducts = kTileRows == 12;

  __attribute__((always_inline)) void next_row() {
    if (next_ == rows_.list.size()) {
      line_ = reinterpret_cast<const char*>(this);  // harmless, for the remaining calls
      step_ = 0;
      left_ = PTRDIFF_MAX;
      return;
    }
    line_ = reinterpret_cast<const char*>(rows_.row(next_++));
    const auto into_line = static_cast<Index>(reinterpret_cast<std::uintptr_t>(line_) % kLine);
    left_ = (into_line + rows_.columns * kFloat + kLine - 1) / kLine;
  }

  MatrixRows rows_;
  Index next_ = 0, interval_, at_once_;
  const char* line_ = nullptr;
  Index step_ = kLine, left_ = 0;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
