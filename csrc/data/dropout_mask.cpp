#include "data/dropout_mask.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "data/philox.h"

namespace gru4rec_fast {

std::vector<float> dropout_mask(std::uint64_t seed, std::uint64_t step, std::int64_t site,
                                std::int64_t rows, std::int64_t columns, double p) {
  if (!(p >= 0.0 && p < 1.0)) {
    throw std::invalid_argument("p is " + std::to_string(p) +
                                "; expected a dropout probability in [0, 1)");
  }
  if (site < 0 || site > UINT32_MAX - std::int64_t{1}) {
    throw std::invalid_argument("site is " + std::to_string(site) + "; expected 0..4294967294");
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 34;  // four words for each value of word 0
  if (rows < 0 || columns < 0 || (columns > 0 && rows > kMost / columns)) {
    throw std::invalid_argument("the mask is " + std::to_string(rows) + " x " +
                                std::to_string(columns) +
                                "; expected sizes >= 0 and at most 2^34 elements");
  }
  const auto dropped_below = static_cast<std::uint64_t>(std::llround(std::ldexp(p, 32)));
  const auto kept = static_cast<float>(1.0 / (1.0 - p));
  const auto stream = static_cast<std::uint32_t>(site + 1);
  const auto size = static_cast<std::size_t>(rows * columns);
  std::vector<float> mask(size);
  for (std::size_t begin = 0; begin < size; begin += 4) {
    const PhiloxBlock word = philox_step(seed, step, stream, static_cast<std::uint32_t>(begin / 4));
    const std::size_t count = std::min<std::size_t>(4, size - begin);
    for (std::size_t i = 0; i < count; ++i) {
      mask[begin + i] = word[i] < dropped_below ? 0.0f : kept;
    }
  }
  return mask;
}

}  // namespace gru4rec_fast
