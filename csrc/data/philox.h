// Philox 4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011). A block of four words is a pure function of a 64-bit key
// and a 128-bit counter, so any draw can be made alone, in any order, on any thread or device.
//
// How this project uses the counter: word 0 is the block within a step, words 1 and 2 are the
// low and high halves of the step, word 3 is the stream (0 negatives, 1 + site dropout).
#pragma once

#include <array>
#include <cstdint>

namespace gru4rec_fast {

using PhiloxBlock = std::array<std::uint32_t, 4>;

inline PhiloxBlock philox4x32(std::uint64_t key, PhiloxBlock counter) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
               static_cast<std::uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

// The block `index` of one step of one stream, in the convention above.
inline PhiloxBlock philox_step(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                               std::uint32_t index) {
  return philox4x32(seed, {index, static_cast<std::uint32_t>(step),
                           static_cast<std::uint32_t>(step >> 32), stream});
}

}  // namespace gru4rec_fast
