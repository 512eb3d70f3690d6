// A random order of n sessions that is computed, not stored: place i -> session, one to one.
//
// A Feistel network on b = ceil(log2 n) bits (at least 2) is a permutation of 0..2^b-1. Eight
// rounds alternately replace the high b / 2 bits and the low b - b / 2 ones by their exclusive or
// with a function of the other part. A result of n or more is put in again until one is below n
// (cycle walking; at most 2 rounds on average), which makes it a permutation of 0..n-1. The
// function of a round is word 0 of Philox 4x32-10 with the seed as key and the counter (the other
// part, epoch low, epoch high, kPermutationStream + round).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "data/philox.h"

namespace gru4rec_fast {

class SessionPermutation {
 public:
  static constexpr std::uint32_t kPermutationStream = 0xF0000000;
  static constexpr std::uint32_t kRounds = 8;

  // Throws std::invalid_argument for n outside 0..2^62.
  SessionPermutation(std::int64_t n, std::uint64_t seed, std::uint64_t epoch)
      : n_(n), seed_(seed), epoch_(epoch) {
    if (n < 0 || n > (std::int64_t{1} << 62)) {
      throw std::invalid_argument("n is " + std::to_string(n) +
                                  "; expected the number of sessions, 0..2^62");
    }
    int bits = 2;
    while ((std::int64_t{1} << bits) < n) ++bits;
    high_bits_ = bits / 2;
    low_bits_ = bits - high_bits_;
  }

  std::int64_t size() const { return n_; }

  std::int64_t operator[](std::int64_t place) const {
    auto value = static_cast<std::uint64_t>(place);
    do {
      value = network(value);
    } while (value >= static_cast<std::uint64_t>(n_));
    return static_cast<std::int64_t>(value);
  }

 private:
  std::uint64_t network(std::uint64_t value) const {
    const std::uint64_t low_mask = (std::uint64_t{1} << low_bits_) - 1;
    const std::uint64_t high_mask = (std::uint64_t{1} << high_bits_) - 1;
    std::uint64_t high = value >> low_bits_;
    std::uint64_t low = value & low_mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint32_t stream = kPermutationStream + round;
      if (round % 2 == 0) {
        high ^= philox_step(seed_, epoch_, stream, static_cast<std::uint32_t>(low))[0] & high_mask;
      } else {
        low ^= philox_step(seed_, epoch_, stream, static_cast<std::uint32_t>(high))[0] & low_mask;
      }
    }
    return high << low_bits_ | low;
  }

  std::int64_t n_;
  std::uint64_t seed_, epoch_;
  int high_bits_ = 0, low_bits_ = 0;
};

}  // namespace gru4rec_fast
