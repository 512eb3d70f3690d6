#include "isa/item_scores.h"

#include "engine/thread_pool.h"
#include "isa/score_tile.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

void item_scores(const float* features, Index rows, Index units, const ItemTable& w, const float* b,
                 const std::int64_t* items, Index n, float* scores, int threads) {
  constexpr Index kItems = ScoreTile::kItems, kRows = ScoreTile::kRows;
  constexpr Index kChunkItems = ScoreTile::kChunkItems;
  const ScoreTile tile(features, rows, units, w, b);
  ThreadPool pool(threads);
  const bool shared = rows * units * n > kWorthSharing;
  pool.run((n + kChunkItems - 1) / kChunkItems, shared, [&](Index chunk, int) {
    Buffer picked(kItems * units), biases(kItems), s(kItems * kRows);
    const Index end = at_most((chunk + 1) * kChunkItems, n);
    for (Index first = chunk * kChunkItems; first < end; first += kItems) {
      const Index count = at_most(end - first, kItems);
      for (Index u = 0; u < count; ++u) {
        read_row(w, items[first + u], units, picked.data() + u * units);
        biases.data()[u] = b[items[first + u]];
      }
      for (Index group = 0; group < tile.groups(); ++group) {
        tile.score(picked.data(), biases.data(), count, group, s.data());
        const Index top = group * kRows, height = at_most(rows - top, kRows);
        transpose(count, height, s.data(), kRows, scores + top * n + first, n);
      }
    }
  });
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
