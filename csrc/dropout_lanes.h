// Inverted dropout on the lanes of a step: the factors of `dropout_mask` (dropout.h), bit for bit,
// made kWidth Philox blocks at a time.
#pragma once

#include "simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Philox 4x32-10 (philox.h) of the blocks first .. first + kWidth - 1 of a step's stream; word i of
// block first + j goes to word[i][j].
inline void philox_blocks(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                          std::uint32_t first, std::uint32_t (&word)[4][kWidth]) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  auto key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
  for (Index j = 0; j < kWidth; ++j) {
    word[0][j] = first + static_cast<std::uint32_t>(j);
    word[1][j] = static_cast<std::uint32_t>(step);
    word[2][j] = static_cast<std::uint32_t>(step >> 32);
    word[3][j] = stream;
  }
  for (int round = 0; round < 10; ++round) {
    for (Index j = 0; j < kWidth; ++j) {
      const std::uint64_t product0 = kMultiplier0 * word[0][j];
      const std::uint64_t product1 = kMultiplier1 * word[2][j];
      word[0][j] = static_cast<std::uint32_t>(product1 >> 32) ^ word[1][j] ^ key0;
      word[1][j] = static_cast<std::uint32_t>(product1);
      word[2][j] = static_cast<std::uint32_t>(product0 >> 32) ^ word[3][j] ^ key1;
      word[3][j] = static_cast<std::uint32_t>(product0);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
}

// mask (rows x columns, rows `stride` floats apart) for dropout with probability 0 < p < 1.
inline void fill_dropout(std::uint64_t seed, std::uint64_t step, int site, Index rows,
                         Index columns, double p, float* mask, Index stride) {
  const auto dropped_below = static_cast<std::uint64_t>(p * 4294967296.0 + 0.5);
  const auto kept = static_cast<float>(1.0 / (1.0 - p));
  constexpr Index kMade = 4 * kWidth;
  std::uint32_t word[4][kWidth];
  float factors[kMade];
  Index used = kMade;  // of the factors made last
  std::uint32_t block = 0;
  for (Index row = 0; row < rows; ++row) {
    for (Index column = 0; column < columns;) {
      if (used == kMade) {
        philox_blocks(seed, step, static_cast<std::uint32_t>(site + 1), block, word);
        for (Index j = 0; j < kWidth; ++j) {
          for (Index i = 0; i < 4; ++i) {
            factors[4 * j + i] = word[i][j] < dropped_below ? 0.0f : kept;
          }
        }
        block += kWidth;
        used = 0;
      }
      const Index n = at_most(columns - column, kMade - used);
      for (Index k = 0; k < n; ++k) mask[row * stride + column + k] = factors[used + k];
      used += n;
      column += n;
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
