// Philox 4x32-10 of several blocks at a time (data/philox.h).
#pragma once

#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// 32-bit numbers, one in the low half of each 64-bit element; the high halves are arbitrary.
typedef std::uint64_t WideVec __attribute__((vector_size(kWidth * 4)));
inline constexpr Index kWideWidth = kWidth / 2;

// The 64-bit products of the low halves.
inline WideVec multiply_low(WideVec a, WideVec b) {
#if defined(__AVX512F__)
  return reinterpret_cast<WideVec>(
      _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<WideVec>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<WideVec>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#endif
}

// The blocks of the counters (word0[j], word1[j], word2[j], word3[j]), of which the low halves
// count: 2 kWidth words, those of a block one after the other.
inline void philox_words(std::uint64_t seed, WideVec word0, WideVec word1, WideVec word2,
                         WideVec word3, WordVec (&words)[2]) {
  const WideVec multiplier0 = WideVec{} + 0xD2511F53, multiplier1 = WideVec{} + 0xCD9E8D57;
  auto key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const WideVec product0 = multiply_low(word0, multiplier0);
    const WideVec product1 = multiply_low(word2, multiplier1);
    word0 = (product1 >> 32) ^ word1 ^ key0;
    word1 = product1;
    word2 = (product0 >> 32) ^ word3 ^ key1;
    word3 = product0;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  // Words 0 and 1 of a block make one element, words 2 and 3 the next.
  const WideVec front = (word0 & 0xFFFFFFFF) | (word1 << 32);
  const WideVec back = (word2 & 0xFFFFFFFF) | (word3 << 32);
  for (int half = 0; half < 2; ++half) {
    WideVec order{};
    for (Index j = 0; j < kWideWidth; ++j) {
      const Index block = (half * kWideWidth + j) / 2;
      order[j] = static_cast<std::uint64_t>(block + j % 2 * kWideWidth);
    }
    words[half] = reinterpret_cast<WordVec>(__builtin_shuffle(front, back, order));
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
