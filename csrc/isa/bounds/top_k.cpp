#include "isa/bounds/top_k.h"

#include <vector>

#include "isa/best_items.h"
#include "isa/bounds/scan.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct Chooser {
  static constexpr bool kCounts = false;

  Index rows;
  std::size_t k;
  std::vector<BestItems>& best_of;

  BestItems& of(Index row, int thread) {
    return best_of[static_cast<std::size_t>(thread * rows + row)];
  }

  bool thresholds(Index group, int thread, float* s) {
    const Index n = at_most(rows - group * kPanelRows, kPanelRows);
    for (Index i = 0; i < n; ++i) {
      const BestItems& best = of(group * kPanelRows + i, thread);
      if (best.heap.size() < k) return false;
      s[i] = best.threshold(k);
    }
    return true;
  }

  std::int32_t* above(Index, int) { return nullptr; }

  void take(const float* scores, Index stride, const Undecided* undecided, Index n, Index column,
            int thread) {
    Vec thresholds = broadcast(__builtin_inff());
    const Index here = at_most(rows - column, kWidth);
    for (Index j = 0; j < here; ++j) thresholds[j] = of(column + j, thread).threshold(k);
    for (Index u = 0; u < n; ++u) {
      const float* const s = scores + u * stride;
      std::uint32_t lanes = lanes_not_below(load(s), thresholds) & undecided[u].lanes;
      for (; lanes != 0; lanes &= lanes - 1) {
        const Index j = __builtin_ctz(lanes);
        BestItems& best = of(column + j, thread);
        best.offer({s[j], undecided[u].item}, k);
        thresholds[j] = best.threshold(k);
      }
    }
  }
};

}  // namespace

void bounded_top_k(const BoundedCatalogue& catalogue, const float* features, Index rows, Index k,
                   float* scores, std::int64_t* best, ScanStatistics& statistics, int threads) {
  const ScoreTile tile(features, rows, catalogue.rounded->units, {catalogue.w, nullptr},
                       catalogue.b);
  std::vector<BestItems> best_of(static_cast<std::size_t>(threads * rows));
  for (BestItems& row : best_of) row.heap.reserve(static_cast<std::size_t>(k));
  Chooser chooser{rows, static_cast<std::size_t>(k), best_of};
  ThreadPool pool(threads);
  BoundedScan<Chooser>(catalogue, features, rows, tile, chooser).run(pool, threads, statistics);
  merge_best(best_of, rows, threads, k, scores, best);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
