// exp, tanh, logistic, log, 1/sqrt, log(1 + x) and e^x - 1 of kWidth floats at once. Largest errors
// against float64, over every float of the stated range (tests/engines/test_vector_math.py):
//   exponential   1.0e-7 relative on [-87.33, 88.37]; below it 0, above it infinity
//   logistic      2.5e-7 relative where the result is >= 1e-38, else within 1e-38
//   hyperbolic_tangent  2.5e-7 relative, for all floats
//   logarithm     2.0e-7 relative or absolute, on normal positive floats
//   reciprocal_root     3.0e-7 relative, on [1e-30, 1e38]
//   log_one_plus        2.0e-7 relative, on [0, 1]
//   exp_minus_one       3.0e-7 relative, on [-87, 88.37]
// NaN gives NaN, except for logarithm and reciprocal_root.
#pragma once

#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// e^x = 2^n e^r, n the integer nearest to x / ln 2, |r| <= ln(2) / 2; a polynomial for e^r.
inline Vec exponential(Vec x) {
  constexpr float kLowest = -87.336544f, kHighest = 88.376259f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Vec zero{};
  const Vec inside = minimum(broadcast(kHighest), maximum(broadcast(kLowest), x));
  const Vec shifted = inside * 1.44269504f + kRound;
  const Vec n = shifted - kRound;
  const Vec r = (inside - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec q = broadcast(1.381459836644939e-3f);
  q = q * r + 8.368716898107642e-3f;
  q = q * r + 4.166838805111295e-2f;
  q = q * r + 1.6666520631511472e-1f;
  q = q * r + 4.9999993447767727e-1f;
  const Vec fraction = (q * r) * r + r + 1.0f;
  const Vec power = from_bits((bits(shifted) - bits(broadcast(kRound)) + 127) << 23);
  const Vec y = x < kLowest ? zero : fraction * power;
  return x > kHighest ? broadcast(__builtin_inff()) : y;
}

inline Vec logistic(Vec x) {
  return 1.0f / (1.0f + exponential(-x));
}

// 1 - 2 / (e^2|x| + 1) with the sign of x; near zero, where that cancels, an odd polynomial.
inline Vec hyperbolic_tangent(Vec x) {
  const IntVec sign_bit = bits(x) & static_cast<std::int32_t>(0x80000000u);
  const Vec size = from_bits(bits(x) ^ sign_bit);
  const Vec far = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
  const Vec t = x * x;
  Vec q = broadcast(-5.717044509694019e-3f);
  q = q * t + 2.0650586782942237e-2f;
  q = q * t - 5.374349791545142e-2f;
  q = q * t + 1.3331491284910396e-1f;
  q = q * t - 3.3333283925205365e-1f;
  const Vec near = x + x * (t * q);
  return size < 0.625f ? near : from_bits(bits(far) | sign_bit);
}

// log x = n log 2 + 2 artanh(s), s = (m - 1) / (m + 1), x = 2^n m, m in [sqrt(1/2), sqrt(2)).
inline Vec logarithm(Vec x) {
  const IntVec shifted = bits(x) - 0x3F3504F3;
  const Vec n = __builtin_convertvector(shifted >> 23, Vec);
  const Vec m = from_bits((shifted & 0x007FFFFF) + 0x3F3504F3);
  const Vec s = (m - 1.0f) / (m + 1.0f);
  const Vec t = s * s;
  const Vec series = t * (t * (t * (t * (1.0f / 9) + 1.0f / 7) + 1.0f / 5) + 1.0f / 3);
  return n * 0.693359375f + (2.0f * s + (2.0f * s * series - n * 2.12194440e-4f));
}

// log(1 + x) = 2 artanh(s), s = x / (2 + x).
inline Vec log_one_plus(Vec x) {
  const Vec s = x / (x + 2.0f);
  const Vec t = s * s;
  Vec q = broadcast(1.0f / 15);
  q = q * t + 1.0f / 13;
  q = q * t + 1.0f / 11;
  q = q * t + 1.0f / 9;
  q = q * t + 1.0f / 7;
  q = q * t + 1.0f / 5;
  q = q * t + 1.0f / 3;
  const Vec twice = s + s;
  return twice + twice * (t * q);
}

// e^x - 1; near zero, where that cancels, its power series.
inline Vec exp_minus_one(Vec x) {
  Vec q = broadcast(1.0f / 40320);
  q = q * x + 1.0f / 5040;
  q = q * x + 1.0f / 720;
  q = q * x + 1.0f / 120;
  q = q * x + 1.0f / 24;
  q = q * x + 1.0f / 6;
  q = q * x + 1.0f / 2;
  const Vec near = x + x * (x * q);
  const Vec far = exponential(x) - 1.0f;
  return x < 0.5f ? (x > -0.5f ? near : far) : far;
}

inline Vec square_root(Vec x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xFFFF, x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  Vec y{};
  for (Index i = 0; i < kWidth; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
#endif
}

// The sum of squares of n numbers, always in the same order.
inline float sum_of_squares(const float* x, Index n) {
  Vec total{};
  Index k = 0;
  for (; k + kWidth <= n; k += kWidth) total += load(x + k) * load(x + k);
  if (k < n) {
    const Vec rest = load_first(x + k, n - k);
    total += rest * rest;
  }
  return sum(total);
}

// 1 / sqrt(x): the processor's estimate and one Newton step, or the plain quotient.
inline Vec reciprocal_root(Vec x) {
#if defined(__AVX512F__)
  const Vec y = _mm512_maskz_rsqrt14_ps(0xFFFF, x);
  return y * (1.5f - 0.5f * x * y * y);
#elif defined(__AVX2__)
  const Vec y = _mm256_rsqrt_ps(x);
  return y * (1.5f - 0.5f * x * y * y);
#else
  Vec y{};
  for (Index i = 0; i < kWidth; ++i) y[i] = 1.0f / __builtin_sqrtf(x[i]);
  return y;
#endif
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
