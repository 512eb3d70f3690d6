// Products of rows of bytes with the rounded features, exact in 32 bits.
//
// The bytes of an item are q + 128, those of the features signed: that is what the instructions
// take. `start` holds -128 times the sum of a row's integers, so the sums are those of q itself.
#pragma once

#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Feature rows of a panel, which holds (depth / 4) x kPanelRows x 4 integers.
inline constexpr Index kPanelRows = 32;

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || !defined(__AVX2__)
inline constexpr int kMostFeature = 127;
#else
// VPMADDUBSW adds two products in 16 bits and saturates: 2 * 255 * 64 still fits.
inline constexpr int kMostFeature = 64;
#endif

inline std::int32_t four_bytes(const void* p) {
  std::int32_t bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  return bytes;
}

#if defined(__AVX512F__)
typedef __m512i Bytes;
inline Bytes load_bytes(const void* p) {
  return _mm512_loadu_si512(p);
}
inline Bytes broadcast_four(const void* p) {
  return _mm512_set1_epi32(four_bytes(p));
}
inline Bytes multiply_add(Bytes sum, Bytes unsigned_bytes, Bytes signed_bytes) {
#if defined(__AVX512VNNI__)
  return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes);
#else
  const __m512i pairs = _mm512_maddubs_epi16(unsigned_bytes, signed_bytes);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
#endif
}
#elif defined(__AVX2__)
typedef __m256i Bytes;
inline Bytes load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline Bytes broadcast_four(const void* p) {
  return _mm256_set1_epi32(four_bytes(p));
}
inline Bytes multiply_add(Bytes sum, Bytes unsigned_bytes, Bytes signed_bytes) {
#if defined(__AVXVNNI__)
  return _mm256_dpbusd_avx_epi32(sum, unsigned_bytes, signed_bytes);
#else
  const __m256i pairs = _mm256_maddubs_epi16(unsigned_bytes, signed_bytes);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}
#endif

#if defined(__AVX2__)

inline IntVec as_integers(Bytes bytes) {
  return reinterpret_cast<IntVec>(bytes);
}

// ROWS items by two vectors of feature rows, held in registers.
template <int ROWS>
inline void integer_tile(const std::uint8_t* q, Index stride, Index depth, const std::int8_t* panel,
                         const std::int32_t* start, std::int32_t* d) {
  constexpr Index kBytes = kWidth * 4;
  Bytes sum[ROWS][2];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
    sum[i][0] = load_bytes(start);
    sum[i][1] = load_bytes(start + kWidth);
  }
  for (Index k = 0; k < depth; k += 4, panel += kPanelRows * 4) {
    const Bytes first = load_bytes(panel), second = load_bytes(panel + kBytes);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const Bytes item = broadcast_four(q + i * stride + k);
      sum[i][0] = multiply_add(sum[i][0], item, first);
      sum[i][1] = multiply_add(sum[i][1], item, second);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
    std::memcpy(d + i * kPanelRows, &sum[i][0], kBytes);
    std::memcpy(d + i * kPanelRows + kWidth, &sum[i][1], kBytes);
  }
}

template <int ROWS = kTileRows - 1>
inline void integer_rest(Index items, const std::uint8_t* q, Index stride, Index depth,
                         const std::int8_t* panel, const std::int32_t* start, std::int32_t* d) {
  if constexpr (ROWS > 0) {
    if (items == ROWS) {
      integer_tile<ROWS>(q, stride, depth, panel, start, d);
    } else {
      integer_rest<ROWS - 1>(items, q, stride, depth, panel, start, d);
    }
  }
}

// d (items x kPanelRows): the products of rows of q with the first `columns` rows of a panel,
// rounded up to two vectors.
inline void integer_product(const std::uint8_t* q, Index stride, Index items, Index depth,
                            const std::int8_t* panel, const std::int32_t* start, Index columns,
                            std::int32_t* d) {
  for (Index j = 0; j < columns; j += 2 * kWidth) {
    Index i = 0;
    for (; i + kTileRows <= items; i += kTileRows) {
      integer_tile<kTileRows>(q + i * stride, stride, depth, panel + j * 4, start + j,
                              d + i * kPanelRows + j);
    }
    integer_rest(items - i, q + i * stride, stride, depth, panel + j * 4, start + j,
                 d + i * kPanelRows + j);
  }
}

#if defined(__AVX512F__)
// With a mask of all lanes, because GCC 12 warns of the forms without one.
inline __m512i unpack_low(__m512i a, __m512i b) {
  return _mm512_maskz_unpacklo_epi32(0xFFFF, a, b);
}
inline __m512i unpack_high(__m512i a, __m512i b) {
  return _mm512_maskz_unpackhi_epi32(0xFFFF, a, b);
}
inline __m512i unpack_low_pairs(__m512i a, __m512i b) {
  return _mm512_maskz_unpacklo_epi64(0xFF, a, b);
}
inline __m512i unpack_high_pairs(__m512i a, __m512i b) {
  return _mm512_maskz_unpackhi_epi64(0xFF, a, b);
}
inline __m512i even_quarters(__m512i a, __m512i b) {
  return _mm512_maskz_shuffle_i32x4(0xFFFF, a, b, 0x88);
}
inline __m512i odd_quarters(__m512i a, __m512i b) {
  return _mm512_maskz_shuffle_i32x4(0xFFFF, a, b, 0xDD);
}
#endif

// sums[j] = the sum of v[j]'s integers.
inline void sum_each(const Bytes* v, std::int32_t* sums) {
#if defined(__AVX512F__)
  // Each step adds pairs of vectors lane by lane, so that half as many remain.
  __m512i two[8], four[4];
  for (int j = 0; j < 8; ++j) {
    two[j] =
        _mm512_add_epi32(unpack_low(v[2 * j], v[2 * j + 1]), unpack_high(v[2 * j], v[2 * j + 1]));
  }
  for (int j = 0; j < 4; ++j) {
    four[j] = _mm512_add_epi32(unpack_low_pairs(two[2 * j], two[2 * j + 1]),
                               unpack_high_pairs(two[2 * j], two[2 * j + 1]));
  }
  // Quarter l of four[j] holds the sums of quarter l of v[4 j] .. v[4 j + 3].
  const __m512i low =
      _mm512_add_epi32(even_quarters(four[0], four[1]), odd_quarters(four[0], four[1]));
  const __m512i high =
      _mm512_add_epi32(even_quarters(four[2], four[3]), odd_quarters(four[2], four[3]));
  const __m512i all = _mm512_add_epi32(even_quarters(low, high), odd_quarters(low, high));
  _mm512_storeu_si512(sums, all);
#else
  __m256i four[2];
  for (int j = 0; j < 2; ++j) {
    four[j] = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4 * j], v[4 * j + 1]),
                                _mm256_hadd_epi32(v[4 * j + 2], v[4 * j + 3]));
  }
  const __m256i all = _mm256_add_epi32(_mm256_permute2x128_si256(four[0], four[1], 0x20),
                                       _mm256_permute2x128_si256(four[0], four[1], 0x31));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), all);
#endif
}

// d (items): the products of rows of q with one row of features, p (depth), whose integers go on
// with zeros up to a whole vector. A vector holds the units of one item.
inline void integer_dots(const std::uint8_t* q, Index stride, Index items, Index depth,
                         const std::int8_t* p, std::int32_t start, std::int32_t* d) {
  constexpr Index kBytes = kWidth * 4;
  constexpr Index kAhead = 4096;  // bytes; a single row of features waits for memory alone
  Index i = 0;
  for (; i + kWidth <= items; i += kWidth) {
    Bytes sum[kWidth] = {};
    for (Index k = 0; k < depth; k += kBytes) {
      const Bytes features = load_bytes(p + k);
#pragma GCC unroll 16
      for (int j = 0; j < kWidth; ++j) {
        const std::uint8_t* const item = q + (i + j) * stride + k;
        __builtin_prefetch(item + kAhead);
        sum[j] = multiply_add(sum[j], load_bytes(item), features);
      }
    }
    sum_each(sum, d + i);
  }
  for (; i < items; ++i) {
    std::int32_t total = 0;
    for (Index k = 0; k < depth; ++k) total += q[i * stride + k] * p[k];
    d[i] = total;
  }
  for (Index u = 0; u < items; ++u) d[u] += start;
}

#else

inline void integer_product(const std::uint8_t* q, Index stride, Index items, Index depth,
                            const std::int8_t* panel, const std::int32_t* start, Index columns,
                            std::int32_t* d) {
  for (Index i = 0; i < items; ++i) {
    std::int32_t* const sums = d + i * kPanelRows;
    for (Index j = 0; j < columns; ++j) sums[j] = start[j];
    for (Index k = 0; k < depth; k += 4) {
      const std::uint8_t* const item = q + i * stride + k;
      const std::int8_t* const p = panel + k * kPanelRows;
      for (Index j = 0; j < columns; ++j) {
        sums[j] += item[0] * p[4 * j] + item[1] * p[4 * j + 1] + item[2] * p[4 * j + 2] +
                   item[3] * p[4 * j + 3];
      }
    }
  }
}

inline void integer_dots(const std::uint8_t* q, Index stride, Index items, Index depth,
                         const std::int8_t* p, std::int32_t start, std::int32_t* d) {
  for (Index i = 0; i < items; ++i) {
    std::int32_t total = start;
    for (Index k = 0; k < depth; ++k) total += q[i * stride + k] * p[k];
    d[i] = total;
  }
}

#endif

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
