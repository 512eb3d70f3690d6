// The masks of data/dropout_mask.h, several Philox blocks at a time.
#pragma once

#include "isa/lane_matrix.h"
#include "isa/philox.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// The blocks first .. first + kWideWidth - 1 of a step's stream (data/philox.h): 2 kWidth words, in
// the order of dropout_mask().
inline void philox_blocks(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                          std::uint32_t first, WordVec (&words)[2]) {
  WideVec block{};
  for (Index j = 0; j < kWideWidth; ++j) block[j] = first + static_cast<std::uint32_t>(j);
  philox_words(seed, block, WideVec{} + step, WideVec{} + (step >> 32), WideVec{} + stream, words);
}

// Rows first .. first + rows - 1 of the mask of a step, `stride` floats apart, for dropout with
// probability 0 < p < 1.
inline void fill_dropout(std::uint64_t seed, std::uint64_t step, int site, Index first, Index rows,
                         Index columns, double p, float* mask, Index stride) {
  const auto dropped_below = static_cast<std::uint64_t>(p * 4294967296.0 + 0.5);
  const Vec kept = broadcast(static_cast<float>(1.0 / (1.0 - p)));
  const Vec dropped = dropped_below > 0 ? Vec{} : kept;
  const WordVec last_dropped = WordVec{} + static_cast<std::uint32_t>(dropped_below - 1);
  constexpr Index kMade = 32 * kWidth;
  float factors[kMade];
  Index used = kMade;  // factors of the buffer that are used up
  // A block has four factors. The first one may belong to the row before.
  auto block = static_cast<std::uint32_t>(first * columns / 4);
  Index skipped = first * columns % 4;
  for (Index row = 0; row < rows; ++row) {
    for (Index column = 0; column < columns;) {
      if (used == kMade) {
        for (used = 0; used < kMade; used += 2 * kWidth, block += kWideWidth) {
          WordVec words[2];
          philox_blocks(seed, step, static_cast<std::uint32_t>(site + 1), block, words);
          store(factors + used, words[0] <= last_dropped ? dropped : kept);
          store(factors + used + kWidth, words[1] <= last_dropped ? dropped : kept);
        }
        used = skipped;
        skipped = 0;
      }
      const Index n = at_most(columns - column, kMade - used);
      copy(mask + row * stride + column, factors + used, n);
      used += n;
      column += n;
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
