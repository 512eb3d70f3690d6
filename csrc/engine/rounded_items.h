// Item rows rounded to integers, with what bounds the error of a score computed from them
// (docs/DESIGN-cpu.md, "Ranks by bounds"). Instruction sets share the format.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gru4rec_fast {

// Bytes of q: those of the rows, and more after them, which kernels may read.
inline std::ptrdiff_t rounded_bytes(std::ptrdiff_t items, std::ptrdiff_t units) {
  return (items + 16) * units + 64;
}

// More units than that could overflow the 32-bit sums.
inline constexpr std::ptrdiff_t kMostRoundedUnits = 32768;

// Row u of w is scale[u] * q[u] + r[u].
struct RoundedItems {
  std::ptrdiff_t items = 0, units = 0;
  std::uint8_t* q = nullptr;  // (V x H) the integers of -127..127, plus 128; see rounded_bytes
  float* scale = nullptr;     // (V)
  // (V) two bfloat16, rounded up: the upper half at least |r[u]|, the lower at least
  // scale[u] |q[u]| (Euclidean norms).
  std::uint32_t* norms = nullptr;
  // At least the largest norm of a row of w and the largest |b|; infinite where w or b hold a
  // number that is not finite.
  double largest_norm = 0.0, largest_bias = 0.0;
};

}  // namespace gru4rec_fast
