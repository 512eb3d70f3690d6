// Stochastic rounding of rows to bfloat16.
//
// A number between two numbers of bfloat16 becomes one of them, each with the probability of its
// nearness. So the mean of a rounded number is the number itself, and updates that are smaller than
// the distance of the two have their effect on average. 16 random bits decide: those of element k
// of row r of table t in step s are half k % 8, the lower halves first, of the Philox block
// b = r * ceil(columns / 8) + k / 8, whose counter is
// (b mod 2^32, s mod 2^32, s / 2^32, 2^31 + 2^30 t + b / 2^32).
#pragma once

#include "isa/half_rows.h"
#include "isa/philox.h"
#include "isa/row_prefetch.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Infinity stays, and NaN stays NaN; the largest numbers can become infinite.
inline void round_row(const float* values, const std::uint16_t* random, Index n,
                      std::uint16_t* to) {
  const auto* const bits_of = reinterpret_cast<const FloatBits*>(values);
  for (Index k = 0; k < n; ++k) {
    const std::uint32_t number = bits_of[k], magnitude = number & 0x7FFFFFFF;
    const std::uint32_t added = magnitude < 0x7F800000 ? random[k] : 0;
    const std::uint32_t quiet = magnitude > 0x7F800000 ? 0x400000 : 0;
    to[k] = static_cast<std::uint16_t>(((number | quiet) + added) >> 16);
  }
}

// Rounds rows of one table in one step.
class RowRounding {
 public:
  RowRounding(std::uint64_t seed, std::uint64_t step, int table, Index columns)
      : seed_(seed),
        step_(step),
        stream_(0x80000000u + (static_cast<std::uint32_t>(table) << 30)),
        columns_(columns),
        blocks_((columns + kOfBlock - 1) / kOfBlock) {}

  // Floats of the buffer that round() needs.
  static Index scratch(Index columns) {
    const Index blocks = kRows * ((columns + kOfBlock - 1) / kOfBlock);
    return round_up(blocks, kWideWidth) * kOfBlock / 2;
  }

  // Writes the rows rows[place] of p.half, those of the items[place], from row `place` of `values`
  // (places x columns), for each of the places. The random numbers are those of the item.
  void round(const Parameter& p, const std::int32_t* rows, const std::int32_t* items,
             const RowList& places, const float* values, float* scratch) const {
    for (Index first = 0; first < places.size(); first += kRows) {
      const RowList some = {places.rows, places.begin + first,
                            places.begin + at_most(first + kRows, places.size())};
      draw(items, some, scratch);
      const auto* random = reinterpret_cast<const RandomHalf*>(scratch);
      for (Index i = 0; i < some.size(); ++i, random += blocks_ * kOfBlock) {
        round_row(values + some[i] * columns_, random, columns_, p.half + rows[some[i]] * columns_);
      }
    }
  }

 private:
  typedef std::uint16_t RandomHalf __attribute__((may_alias));
  static constexpr Index kOfBlock = 8;  // random halves of a Philox block
  static constexpr Index kRows = 16;    // rows whose random numbers are drawn at a time

  void draw(const std::int32_t* items, const RowList& places, float* to) const {
    WideVec block{};
    Index lane = 0;
    const auto flush = [&] {
      WordVec words[2];
      philox_words(seed_, block, WideVec{} + step_, WideVec{} + (step_ >> 32),
                   (block >> 32) + stream_, words);
      std::memcpy(to, words, sizeof words);
      to += 2 * kWidth;
      lane = 0;
    };
    for (Index i = 0; i < places.size(); ++i) {
      const auto first = static_cast<std::uint64_t>(items[places[i]] * blocks_);
      for (Index b = 0; b < blocks_; ++b) {
        block[lane++] = first + static_cast<std::uint64_t>(b);
        if (lane == kWideWidth) flush();
      }
    }
    if (lane > 0) flush();
  }

  std::uint64_t seed_, step_;
  std::uint32_t stream_;
  Index columns_, blocks_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
