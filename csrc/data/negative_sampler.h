// Items drawn with probability weight / sum(weights), with replacement: Walker's alias table
// (1977), built by Vose's partition of the mass (1991) in exact integers.
//
// The weights become integer masses that sum to V * 2^32 exactly, so that each of the V slots holds
// 2^32 of mass: `threshold` of it belongs to the slot's own item, the rest to `alias`. A float32
// cumulative table of 10^7 items cannot tell neighbours apart and never draws some of them; here
// every item of positive weight has a mass of at least one.
//
// Word pair (w0, w1) of Philox gives u = w0 * 2^32 + w1. The product u * V has the slot above bit
// 64 and, in the 32 bits below it, the fraction that is compared with `threshold`.
#pragma once

#include <cstdint>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

class NegativeSampler {
 public:
  // Throws std::invalid_argument for no weights, more than 2^31 - 1, a weight that is negative or
  // not finite, and weights that are all zero or whose sum is not finite. O(V) time and memory.
  explicit NegativeSampler(Span<double> weights);

  std::int64_t size() const { return static_cast<std::int64_t>(slots_.size()); }  // V

  // (V,) the probabilities that the table has.
  std::vector<double> probabilities() const;

  // (steps, n) row-major. Sample p of step t is a function of (seed, t, p) alone: words
  // 2 (p % 2) and 2 (p % 2) + 1 of Philox block p / 2 of step t, stream 0. Threads may share it.
  std::vector<std::int32_t> draw(std::uint64_t seed, std::uint64_t first_step, std::int64_t steps,
                                 std::int64_t n) const;

 private:
  struct Slot {
    std::uint32_t threshold;
    std::int32_t alias;
  };
  static_assert(sizeof(Slot) == 8, "a draw must touch one cache line");

  std::vector<Slot> slots_;
};

}  // namespace gru4rec_fast
