// How a mini-batch lies in memory. What is looked up by item (inputs, and gradients of item rows)
// is lanes x units; what the cells and the scores compute is units x lanes, so that a vector holds
// one unit of neighbouring lanes and no sum crosses a vector. Both have row_stride() floats a row.
#pragma once

#include "product.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline void copy(float* to, const float* from, Index n) {
  Index k = 0;
  for (; k + kWidth <= n; k += kWidth) store(to + k, load(from + k));
  if (k < n) store_first(to + k, load_first(from + k, n - k), n - k);
}

// to (columns x rows) = the transpose of from (rows x columns).
inline void transpose(Index rows, Index columns, const float* from, Index from_stride, float* to,
                      Index to_stride) {
  constexpr Index kBlock = 16;  // a cache line of `to` is filled before the next one is begun
  for (Index i = 0; i < rows; i += kBlock) {
    const Index end = at_most(i + kBlock, rows);
    for (Index j = 0; j < columns; ++j) {
      for (Index r = i; r < end; ++r) to[j * to_stride + r] = from[r * from_stride + j];
    }
  }
}

// Sum of each of the rows of m (rows x lanes); what lies beyond the last lane must be zero.
inline void sum_rows(Index rows, Index lanes, const float* m, Index stride, float* sums) {
  for (Index i = 0; i < rows; ++i) {
    Vec total{};
    for (Index j = 0; j < lanes; j += kWidth) total += load(m + i * stride + j);
    sums[i] = sum(total);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
