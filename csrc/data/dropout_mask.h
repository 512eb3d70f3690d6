// Inverted dropout whose mask depends on (seed, step, site) alone: a reference and every fast path
// can make the same one without keeping it, and a resumed run repeats it.
#pragma once

#include <cstdint>
#include <vector>

namespace gru4rec_fast {

// (rows, columns) row-major factors: 0 with probability p, else 1 / (1 - p). Element
// e = row * columns + column is word e % 4 of Philox block e / 4 of the step, stream 1 + site; it
// is dropped where word < round(p * 2^32). Throws std::invalid_argument for p outside [0, 1), a
// negative size, more than 2^34 elements, and site outside 0..2^32-2.
std::vector<float> dropout_mask(std::uint64_t seed, std::uint64_t step, std::int64_t site,
                                std::int64_t rows, std::int64_t columns, double p);

}  // namespace gru4rec_fast
