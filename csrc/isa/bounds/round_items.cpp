#include "isa/bounds/round_items.h"

#include <vector>

#include "engine/thread_pool.h"
#include "isa/bounds/rounded_row.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kChunk = 4096;
constexpr double kInfinite = __builtin_inf();

// The least bfloat16 that is not below x, as its 16 bits; x in 0..3e38.
std::uint32_t bfloat16_above(double x) {
  float nearest_float = static_cast<float>(x);
  std::int32_t bits;
  std::memcpy(&bits, &nearest_float, sizeof bits);
  // One float up, as the conversion may have rounded down; then up to the next bfloat16.
  return (static_cast<std::uint32_t>(bits + 1) + 0xFFFFu) >> 16;
}

struct Largest {
  double norm = 0.0, bias = 0.0;
};

void take(double value, double& largest) {
  // A NaN is no number below infinity either.
  largest = value <= 3e38 ? (value > largest ? value : largest) : kInfinite;
}

}  // namespace

void round_items(const float* w, const float* b, RoundedItems& rounded, int threads) {
  const Index V = rounded.items, H = rounded.units;
  ThreadPool pool(threads);
  std::vector<Largest> largest(static_cast<std::size_t>(threads));
  pool.run((V + kChunk - 1) / kChunk, V * H > kWorthSharing, [&](Index chunk, int thread) {
    Largest& mine = largest[static_cast<std::size_t>(thread)];
    const Index end = at_most((chunk + 1) * kChunk, V);
    for (Index u = chunk * kChunk; u < end; ++u) {
      const float* const row = w + u * H;
      std::uint8_t* const q = rounded.q + u * H;
      const float scale = scale_of(row, H, 127);
      const RowNorms norms = round_row(row, H, 127, scale, reinterpret_cast<std::int8_t*>(q));
      for (Index k = 0; k < H; ++k) q[k] ^= 128;  // adds 128
      take(norms.row, mine.norm);
      take(b[u] < 0.0f ? -b[u] : b[u], mine.bias);
      rounded.scale[u] = scale;
      if (mine.norm < kInfinite) {
        rounded.norms[u] = bfloat16_above(norms.rest) << 16 | bfloat16_above(norms.rounded);
      }
    }
  });
  rounded.largest_norm = rounded.largest_bias = 0.0;
  for (const Largest& found : largest) {
    take(found.norm, rounded.largest_norm);
    take(found.bias, rounded.largest_bias);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
