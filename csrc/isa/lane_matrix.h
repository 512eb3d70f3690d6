// The memory layout of a mini-batch. What is looked up by item (inputs, gradients of item rows) is
// lanes x units. What the cells and the scores compute is units x lanes, so that a vector holds one
// unit of adjacent lanes and no sum runs across a vector. Rows of both are row_stride() floats
// apart.
#pragma once

#include "isa/product.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline void copy(float* to, const float* from, Index n) {
  Index k = 0;
  for (; k + kWidth <= n; k += kWidth) store(to + k, load(from + k));
  if (k < n) store_first(to + k, load_first(from + k, n - k), n - k);
}

#if defined(__AVX2__)
// The transpose of 8 x 8 floats in registers.
template <class Register>
inline void transpose_eight(Register (&r)[8]) {
  __m256 pair[8], quad[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    pair[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
    quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
  }
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm256_permute2f128_ps(quad[c], quad[c + 4], 0x20);
    r[c + 4] = _mm256_permute2f128_ps(quad[c], quad[c + 4], 0x31);
  }
}

inline void transpose_block(const float* from, Index from_stride, float* to, Index to_stride) {
  __m256 r[8];
  for (Index i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * from_stride);
  transpose_eight(r);
  for (Index i = 0; i < 8; ++i) _mm256_storeu_ps(to + i * to_stride, r[i]);
}
#endif

// to (columns x rows) = the transpose of from (rows x columns).
inline void transpose(Index rows, Index columns, const float* from, Index from_stride, float* to,
                      Index to_stride) {
  constexpr Index kBlock = 8;
  for (Index i = 0; i < rows; i += kBlock) {
    const Index end = at_most(i + kBlock, rows);
    Index j = 0;
#if defined(__AVX2__)
    if (end == i + kBlock) {
      for (; j + kBlock <= columns; j += kBlock) {
        transpose_block(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
      }
    }
#endif
    for (; j < columns; ++j) {
      for (Index r = i; r < end; ++r) to[j * to_stride + r] = from[r * from_stride + j];
    }
  }
}

// The sum of each row of m (rows x lanes). The floats between the last lane and the end of its
// vector must be zero.
inline void sum_rows(Index rows, Index lanes, const float* m, Index stride, float* sums) {
  for (Index i = 0; i < rows; ++i) {
    Vec total{};
    for (Index j = 0; j < lanes; j += kWidth) total += load(m + i * stride + j);
    sums[i] = sum(total);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
