// Floats as sums of bfloat16 numbers, in the order in which the instructions read them.
//
// A tile of a left factor is 16 rows of 32 numbers. A tile of a right factor is 16 pairs of rows of
// 16 columns: a pair's two numbers of one column lie side by side. Both have kBf16Tile numbers.
// What lies beyond the factor is zero.
#pragma once

#include "engine/bf16_kernels.h"
#include "isa/few_rows.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// The bfloat16 number closest to x, of two the even one, as a float; +-0 below the normal numbers.
inline Vec bf16_part(Vec x) {
#if defined(__AVX512BF16__)
  const __m256i halves = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  return reinterpret_cast<Vec>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#else
  const WordVec word = reinterpret_cast<WordVec>(x);
  const WordVec nearest = (word + 0x7FFFu + ((word >> 16) & 1u)) & 0xFFFF0000u;
  const WordVec number = (word & 0x7FFFFFFFu) < 0x00800000u ? word & 0x80000000u : nearest;
  return reinterpret_cast<Vec>(x == x ? number : (word | 0x00400000u) & 0xFFFF0000u);
#endif
}

template <int PARTS>
inline void split(Vec x, Vec (&part)[PARTS]) {
  part[0] = bf16_part(x);
  if constexpr (PARTS == 2) part[1] = bf16_part(x - part[0]);
}

// Pairs of bfloat16 numbers, the first in the lower half.
inline Vec pairs(Vec first, Vec second) {
  return reinterpret_cast<Vec>(reinterpret_cast<WordVec>(first) >> 16 |
                               reinterpret_cast<WordVec>(second));
}

// The next kWidth of `left` floats, then zeros.
inline Vec load_of(const float* p, Index left) {
  if (left >= kWidth) return load(p);
  return left > 0 ? load_first(p, left) : Vec{};
}

// The numbers of kWidth floats of a line, for each part.
template <int PARTS>
inline void split_line(Vec x, std::uint16_t* out) {
#if defined(__AVX512BF16__)
  const __m256i high = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), high);
  if constexpr (PARTS == 2) {
    const __m512i rounded_x = _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16);
    const __m512 rest = _mm512_sub_ps(x, reinterpret_cast<__m512>(rounded_x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + kBf16Tile),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rest)));
  }
#else
  Vec part[PARTS];
  split(x, part);
  for (int p = 0; p < PARTS; ++p) {
    const WordVec words = reinterpret_cast<WordVec>(part[p]) >> 16;
    for (Index i = 0; i < kWidth; ++i) {
      out[p * kBf16Tile + i] = static_cast<std::uint16_t>(words[i]);
    }
  }
#endif
}

inline const float* line_of(const LeftFactor& a, Index i) {
  return a.pointers != nullptr ? a.pointers[i] + a.offset : a.first + i * a.stride;
}

// Rows i .. i + n - 1, columns k .. k + depth - 1 of A, as rows of tiles that are `tiles` long.
template <int PARTS>
inline void split_rows(const LeftFactor& a, Index i, Index n, Index k, Index depth, Index tiles,
                       std::uint16_t* out) {
  for (Index r = 0; r < round_up(n, kBf16Rows); ++r) {
    std::uint16_t* to =
        out + r / kBf16Rows * tiles * PARTS * kBf16Tile + r % kBf16Rows * kBf16Depth;
    const float* line = r < n ? line_of(a, i + r) + k : nullptr;
    const Index length = r < n ? depth : 0;
    for (Index column = 0; column < tiles * kBf16Depth; column += kWidth) {
      split_line<PARTS>(load_of(line + column, length - column),
                        to + column / kBf16Depth * PARTS * kBf16Tile + column % kBf16Depth);
    }
  }
}

// One tile of a left factor from words[p][j], the pair of lines j of part p, whose 16 numbers are
// the rows of the tile.
template <int PARTS>
inline void transpose_pairs(Vec (&words)[PARTS][kBf16Rows][16 / kWidth], std::uint16_t* out) {
  for (int p = 0; p < PARTS; ++p) {
#if defined(__AVX512F__)
    Vec square[kWidth];
    for (Index j = 0; j < kWidth; ++j) square[j] = words[p][j][0];
    transpose_square(square);
    for (Index j = 0; j < kWidth; ++j) {
      std::memcpy(out + p * kBf16Tile + j * kBf16Depth, &square[j], sizeof square[j]);
    }
#else
    for (Index j = 0; j < kBf16Rows; ++j) {
      for (Index r = 0; r < kBf16Rows; ++r) {
        const float pair = words[p][j][r / kWidth][r % kWidth];
        std::memcpy(out + p * kBf16Tile + r * kBf16Depth + 2 * j, &pair, sizeof pair);
      }
    }
#endif
  }
}

// As split_rows, of rows i .. i + n - 1, where the lines are the columns of A.
template <int PARTS>
inline void split_columns(const LeftFactor& a, Index i, Index n, Index k, Index depth, Index tiles,
                          std::uint16_t* out) {
  for (Index tile = 0; tile < tiles; ++tile) {
    for (Index row = 0; row < n; row += kBf16Rows) {
      Vec words[PARTS][kBf16Rows][16 / kWidth];
      for (Index j = 0; j < kBf16Rows; ++j) {
        const Index column = tile * kBf16Depth + 2 * j;
        const float* first = column < depth ? line_of(a, k + column) + i + row : nullptr;
        const float* second = column + 1 < depth ? line_of(a, k + column + 1) + i + row : nullptr;
        for (Index v = 0; v < 16 / kWidth; ++v) {
          const Index left = n - row - v * kWidth;
          Vec x[PARTS], y[PARTS];
          split(load_of(first + v * kWidth, first != nullptr ? left : 0), x);
          split(load_of(second + v * kWidth, second != nullptr ? left : 0), y);
          for (int p = 0; p < PARTS; ++p) words[p][j][v] = pairs(x[p], y[p]);
        }
      }
      transpose_pairs<PARTS>(words, out + (row / kBf16Rows * tiles + tile) * PARTS * kBf16Tile);
    }
  }
}

// SplitRightFactor of engine/bf16_kernels.h.
template <int PARTS>
inline void split_right(const float* b, Index ldb, Index depth, Index columns, Index first,
                        Index end, std::uint16_t* out) {
  const Index tiles = (depth + kBf16Depth - 1) / kBf16Depth;
  out += first * tiles * PARTS * kBf16Tile;
  for (Index j = first * kBf16Rows; j < end * kBf16Rows; j += kBf16Rows) {
    for (Index k = 0; k < tiles * kBf16Depth; k += 2) {
      const float* row = b + k * ldb + j;
      for (Index v = 0; v < kBf16Rows; v += kWidth) {
        const Index left = columns - j - v;
        Vec x[PARTS], y[PARTS];
        split(load_of(row + v, k < depth ? left : 0), x);
        split(load_of(row + ldb + v, k + 1 < depth ? left : 0), y);
        for (int p = 0; p < PARTS; ++p) {
          const Vec words = pairs(x[p], y[p]);
          std::memcpy(out + p * kBf16Tile + k % kBf16Depth * kBf16Rows + 2 * v, &words,
                      sizeof words);
        }
      }
      if (k % kBf16Depth == kBf16Depth - 2) out += PARTS * kBf16Tile;
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
