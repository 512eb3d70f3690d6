#include "isa/top_k.h"

#include "engine/thread_pool.h"
#include "isa/best_items.h"
#include "isa/score_tile.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kRows = ScoreTile::kRows;

// A tile is compared a vector at a time; few of its scores pass.
void offer_tile(const float* s, Index first, Index items, Index rows, std::size_t k,
                BestItems* best) {
  for (Index i = 0; i < rows; i += kWidth) {
    const Index n = at_most(rows - i, kWidth);
    Vec thresholds = broadcast(__builtin_inff());
    for (Index j = 0; j < n; ++j) thresholds[j] = best[i + j].threshold(k);
    for (Index u = 0; u < items; ++u) {
      const float* scores = s + u * kRows + i;
      const IntVec passed = load(scores) >= thresholds;
      std::int32_t any = 0;
      for (Index j = 0; j < kWidth; ++j) any |= passed[j];
      if (any == 0) continue;
      for (Index j = 0; j < n; ++j) {
        if (passed[j] == 0) continue;
        best[i + j].offer({scores[j], first + u}, k);
        thresholds[j] = best[i + j].threshold(k);
      }
    }
  }
}

}  // namespace

void top_k(const float* features, Index rows, Index units, const ItemTable& w, const float* b,
           Index items, Index k, float* scores, std::int64_t* best, int threads) {
  const ScoreTile tile(features, rows, units, w, b);
  const auto n_best = static_cast<std::size_t>(k);
  ThreadPool pool(threads);
  std::vector<BestItems> best_of(static_cast<std::size_t>(threads * rows));
  for (BestItems& row : best_of) row.heap.reserve(n_best);
  tile.score_all(items, pool, [&](const float* s, Index first, Index n, Index group, int thread) {
    const Index row = group * kRows;
    offer_tile(s, first, n, at_most(rows - row, kRows), n_best,
               best_of.data() + thread * rows + row);
  });
  merge_best(best_of, rows, threads, k, scores, best);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
