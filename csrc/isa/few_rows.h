// Scores of a few feature rows, as of one live session.
//
// Elsewhere a vector holds adjacent rows of features; with a few rows most of it would be unused.
// Here it holds adjacent items, whose rows are transposed in registers. Every score is the same
// chain of multiply-adds as in product(), so it has the same bits.
#pragma once

#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr Index kFewRows = 4;

// The transpose of kWidth x kWidth floats in registers.
inline void transpose_square(Vec (&r)[kWidth]) {
#if defined(__AVX512F__)
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
  // Quarter q of r[4 g + c] now holds column 4 q + c of the rows 4 g .. 4 g + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512 even = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
    const __m512 odd = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xDD);
    const __m512 even_below = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
    const __m512 odd_below = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xDD);
    r[c] = _mm512_shuffle_f32x4(even, even_below, 0x88);
    r[4 + c] = _mm512_shuffle_f32x4(odd, odd_below, 0x88);
    r[8 + c] = _mm512_shuffle_f32x4(even, even_below, 0xDD);
    r[12 + c] = _mm512_shuffle_f32x4(odd, odd_below, 0xDD);
  }
#elif defined(__AVX2__)
  transpose_eight(r);
#else
  float t[kWidth * kWidth];
  for (Index i = 0; i < kWidth; ++i) {
    for (Index j = 0; j < kWidth; ++j) t[j * kWidth + i] = r[i][j];
  }
  for (Index i = 0; i < kWidth; ++i) r[i] = load(t + i * kWidth);
#endif
}

// sum[i] += columns [k, k + n) of features row i times those of the kWidth item rows at `w`.
template <int ROWS>
inline void add_products(const float* const* w, Index k, Index n, const float* features,
                         Index stride, Vec (&sum)[ROWS]) {
  Vec column[kWidth];
  if (n == kWidth) {
#pragma GCC unroll 16
    for (Index u = 0; u < kWidth; ++u) column[u] = load(w[u] + k);
    transpose_square(column);
#pragma GCC unroll 16
    for (Index j = 0; j < kWidth; ++j) {
      for (int i = 0; i < ROWS; ++i) sum[i] += features[i * stride + k + j] * column[j];
    }
  } else {
    for (Index u = 0; u < kWidth; ++u) column[u] = load_first(w[u] + k, n);
    transpose_square(column);
    for (Index j = 0; j < n; ++j) {
      for (int i = 0; i < ROWS; ++i) sum[i] += features[i * stride + k + j] * column[j];
    }
  }
}

// s[u * s_stride + i]: the score of item u for features row i; w (items x units), b (items).
template <int ROWS>
inline void few_row_scores(const float* features, Index units, const float* w, const float* b,
                           Index items, float* s, Index s_stride) {
  // Enough ahead for the memory's latency; the lines that are read side by side are too many for
  // the processor to foresee.
  const Index ahead = 4 * kWidth * units;
  for (Index first = 0; first < items; first += kWidth) {
    const Index n = at_most(items - first, kWidth);
    const float* rows[kWidth];
    for (Index u = 0; u < kWidth; ++u) rows[u] = w + (first + at_most(u, n - 1)) * units;
    Vec total[ROWS] = {};
    for (Index begin = 0; begin < units; begin += kBlockDepth) {
      const Index end = at_most(begin + kBlockDepth, units);
      Vec sum[ROWS] = {};
      for (Index k = begin; k < end; k += kWidth) {
        for (Index u = 0; u < kWidth; ++u) __builtin_prefetch(rows[u] + k + ahead);
        add_products<ROWS>(rows, k, at_most(end - k, kWidth), features, units, sum);
      }
      for (int i = 0; i < ROWS; ++i) total[i] = begin == 0 ? sum[i] : total[i] + sum[i];
    }
    for (int i = 0; i < ROWS; ++i) {
      for (Index u = 0; u < n; ++u) s[(first + u) * s_stride + i] = total[i][u] + b[first + u];
    }
  }
}

// The same for 1 .. kFewRows rows of features.
inline void few_row_scores(const float* features, Index rows, Index units, const float* w,
                           const float* b, Index items, float* s, Index s_stride) {
  if (rows == 1) return few_row_scores<1>(features, units, w, b, items, s, s_stride);
  if (rows == 2) return few_row_scores<2>(features, units, w, b, items, s, s_stride);
  if (rows == 3) return few_row_scores<3>(features, units, w, b, items, s, s_stride);
  few_row_scores<4>(features, units, w, b, items, s, s_stride);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
