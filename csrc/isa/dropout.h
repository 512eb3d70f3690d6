// The masks of data/dropout_mask.h, several Philox blocks at a time.
#pragma once

#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// 32-bit numbers, one in the low half of each 64-bit element; the high halves are arbitrary.
typedef std::uint64_t WideVec __attribute__((vector_size(kWidth * 4)));
typedef std::uint32_t WordVec __attribute__((vector_size(kWidth * 4)));
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

// Philox 4x32-10 (data/philox.h) of the blocks first .. first + kWideWidth - 1 of a step's stream:
// 2 kWidth words, in the order of dropout_mask().
inline void philox_blocks(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                          std::uint32_t first, WordVec (&words)[2]) {
  const WideVec multiplier0 = WideVec{} + 0xD2511F53, multiplier1 = WideVec{} + 0xCD9E8D57;
  auto key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
  WideVec word0{}, word1 = WideVec{} + step, word2 = WideVec{} + (step >> 32);
  WideVec word3 = WideVec{} + stream;
  for (Index j = 0; j < kWideWidth; ++j) word0[j] = first + static_cast<std::uint32_t>(j);
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

// mask (rows x columns, rows `stride` floats apart) for dropout with probability 0 < p < 1.
inline void fill_dropout(std::uint64_t seed, std::uint64_t step, int site, Index rows,
                         Index columns, double p, float* mask, Index stride) {
  const auto dropped_below = static_cast<std::uint64_t>(p * 4294967296.0 + 0.5);
  const Vec kept = broadcast(static_cast<float>(1.0 / (1.0 - p)));
  const Vec dropped = dropped_below > 0 ? Vec{} : kept;
  const WordVec last_dropped = WordVec{} + static_cast<std::uint32_t>(dropped_below - 1);
  constexpr Index kMade = 32 * kWidth;
  float factors[kMade];
  Index used = kMade;  // factors of the buffer that are used up
  std::uint32_t block = 0;
  for (Index row = 0; row < rows; ++row) {
    for (Index column = 0; column < columns;) {
      if (used == kMade) {
        for (used = 0; used < kMade; used += 2 * kWidth, block += kWideWidth) {
          WordVec words[2];
          philox_blocks(seed, step, static_cast<std::uint32_t>(site + 1), block, words);
          store(factors + used, words[0] <= last_dropped ? dropped : kept);
          store(factors + used + kWidth, words[1] <= last_dropped ? dropped : kept);
        }
        used = 0;
      }
      const Index n = at_most(columns - column, kMade - used);
      copy(mask + row * stride + column, factors + used, n);
      used += n;
      column += n;
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
