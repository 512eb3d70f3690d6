// The vector type of one instruction set. The sources in csrc/isa/ are compiled once for each set,
// into the namespace gru4rec_fast::GRU4REC_FAST_ISA (baseline, avx2, avx512).
//
// Everything that they define must live in that namespace, and they may use templates of the
// standard library over types of that namespace only: see csrc/isa/README.md.
#pragma once

#ifndef GRU4REC_FAST_ISA
#error "compile with GRU4REC_FAST_ISA=baseline, avx2 or avx512; see CMakeLists.txt"
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace gru4rec_fast::GRU4REC_FAST_ISA {

using Index = std::ptrdiff_t;

// Floats in a vector, and rows of a product's register tile: kTileRows x 2 vectors of sums fill the
// registers.
#if defined(__AVX512F__)
inline constexpr Index kWidth = 16;
inline constexpr int kTileRows = 12;
#elif defined(__AVX2__)
inline constexpr Index kWidth = 8;
inline constexpr int kTileRows = 6;
#else
inline constexpr Index kWidth = 4;
inline constexpr int kTileRows = 6;
#endif

typedef float Vec __attribute__((vector_size(kWidth * 4)));
typedef std::int32_t IntVec __attribute__((vector_size(kWidth * 4)));
typedef std::uint32_t WordVec __attribute__((vector_size(kWidth * 4)));

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store(float* p, Vec v) {
  std::memcpy(p, &v, sizeof v);
}

inline Vec broadcast(float x) {
  return x - Vec{};
}

inline IntVec bits(Vec v) {
  return reinterpret_cast<IntVec>(v);
}
inline Vec from_bits(IntVec v) {
  return reinterpret_cast<Vec>(v);
}

// The larger or smaller of two numbers; b where one is NaN.
inline Vec maximum(Vec a, Vec b) {
  return a > b ? a : b;
}
inline Vec minimum(Vec a, Vec b) {
  return a < b ? a : b;
}

// The compiler contracts a * b + c into a fused multiply-add where it can, and of a * b + c * d it
// contracts either product. The three functions below fix what is rounded, where results would
// otherwise depend on how the code around is compiled.

// x, rounded: it is not contracted with what is done to it next.
inline Vec rounded(Vec x) {
#if defined(__AVX2__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

// a * b - c and c - a * b, rounded once where the set has fused multiply-add.
inline Vec multiply_subtract(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmsub_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmsub_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(-c, a, b);
#else
  return a * b - c;
#endif
}
inline Vec subtract_product(Vec c, Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fnmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmsq_f32(c, a, b);
#else
  return c - a * b;
#endif
}

// Loads the first n < kWidth floats of p, then zeros; stores the first n. No memory beyond them is
// accessed.
inline Vec load_first(const float* p, Index n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane));
#else
  Vec v{};
  for (Index i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}

inline void store_first(float* p, Vec v, Index n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#elif defined(__AVX2__)
  // Stores halves, because a masked store takes a dozen cycles on AMD.
  __m128 rest = _mm256_castps256_ps128(v);
  if ((n & 4) != 0) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
  if ((n & 2) != 0) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if ((n & 1) != 0) _mm_store_ss(p, rest);
#else
  for (Index i = 0; i < n; ++i) p[i] = v[i];
#endif
}

// The sum of the kWidth floats, always in the same order.
inline float sum(Vec v) {
  float total = 0.0f;
  for (Index i = 0; i < kWidth; ++i) total += v[i];
  return total;
}

inline Index at_least(Index n, Index least) {
  return n < least ? least : n;
}
inline Index at_most(Index n, Index most) {
  return n > most ? most : n;
}
inline Index round_up(Index n, Index multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
