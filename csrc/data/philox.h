// Philox 4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011). A block of four words is a pure function of a 64-bit key
// and a 128-bit counter, so any draw can be made alone, in any order, on any thread or device.
//
// How this project uses the counter: word 0 is the block within a step, words 1 and 2 are the
// low and high halves of the step, word 3 is the stream (0 negatives, 1 + site dropout).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace gru4rec_fast {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// One word of as many blocks as PhiloxWords has elements, each in the low half of its element. The
// high halves are arbitrary.
#if defined(__SSE2__)
typedef std::uint64_t PhiloxWords __attribute__((vector_size(16)));
inline constexpr PhiloxWords kPhiloxCount = {0, 1};
#else
using PhiloxWords = std::uint64_t;
inline constexpr PhiloxWords kPhiloxCount = 0;
#endif
constexpr std::size_t kPhiloxAtOnce = sizeof(PhiloxWords) / sizeof(std::uint64_t);

// The 64-bit products of the low halves and of `b`.
inline std::uint64_t multiply_words(std::uint64_t a, std::uint32_t b) {
  return (a & UINT32_MAX) * b;
}
#if defined(__SSE2__)
inline PhiloxWords multiply_words(PhiloxWords a, std::uint32_t b) {
  return reinterpret_cast<PhiloxWords>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), _mm_set1_epi64x(b)));
}
#endif

// The ten rounds. W is std::uint64_t for one block, or PhiloxWords.
template <class W>
inline void philox_rounds(std::uint64_t key, W (&word)[4]) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const W product0 = multiply_words(word[0], kMultiplier0);
    const W product1 = multiply_words(word[2], kMultiplier1);
    word[0] = (product1 >> 32) ^ word[1] ^ std::uint64_t{key0};
    word[1] = product1;
    word[2] = (product0 >> 32) ^ word[3] ^ std::uint64_t{key1};
    word[3] = product0;
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
}

inline PhiloxBlock philox4x32(std::uint64_t key, PhiloxBlock counter) {
  std::uint64_t word[4] = {counter[0], counter[1], counter[2], counter[3]};
  philox_rounds(key, word);
  return {static_cast<std::uint32_t>(word[0]), static_cast<std::uint32_t>(word[1]),
          static_cast<std::uint32_t>(word[2]), static_cast<std::uint32_t>(word[3])};
}

// The block `index` of one step of one stream, in the convention above.
inline PhiloxBlock philox_step(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                               std::uint32_t index) {
  return philox4x32(seed, {index, static_cast<std::uint32_t>(step),
                           static_cast<std::uint32_t>(step >> 32), stream});
}

// The blocks first .. first + kPhiloxAtOnce - 1 of one step of one stream, word by word.
inline void philox_step_blocks(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                               std::uint32_t first, PhiloxWords (&word)[4]) {
  word[0] = kPhiloxCount + std::uint64_t{first};
  word[1] = PhiloxWords{} + step;
  word[2] = PhiloxWords{} + (step >> 32);
  word[3] = PhiloxWords{} + std::uint64_t{stream};
  philox_rounds(seed, word);
}

}  // namespace gru4rec_fast
