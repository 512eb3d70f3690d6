#include "isa/bounds/rank_counts.h"

#include <vector>

#include "isa/bounds/scan.h"
#include "isa/target_counts.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct Counter {
  static constexpr bool kCounts = true;

  const float* own;  // (groups x kPanelRows) the scores of the targets
  Index groups;
  std::vector<GroupCounts>& counts;

  GroupCounts& of(Index group, int thread) {
    return counts[static_cast<std::size_t>(thread * groups + group)];
  }

  bool thresholds(Index group, int, float* s) const {
    std::memcpy(s, own + group * kPanelRows, kPanelRows * sizeof(float));
    return true;
  }

  std::int32_t* above(Index group, int thread) { return of(group, thread).greater; }

  void take(const float* scores, Index stride, const Undecided* undecided, Index n, Index column,
            int thread) {
    GroupCounts& mine = of(column / kPanelRows, thread);
    const Index at = column % kPanelRows;
    const Vec target = load(own + column);
    IntVec lane_bit{};
    for (Index j = 0; j < kWidth; ++j) lane_bit[j] = 1 << j;
    IntVec greater = load_integers(mine.greater + at), equal = load_integers(mine.equal + at);
    for (Index u = 0; u < n; ++u) {
      const Vec s = load(scores + u * stride);
      const IntVec lanes = (lane_bit & static_cast<std::int32_t>(undecided[u].lanes)) != 0;
      greater -= (s > target) & lanes;
      equal -= (s == target) & lanes;
    }
    std::memcpy(mine.greater + at, &greater, sizeof greater);
    std::memcpy(mine.equal + at, &equal, sizeof equal);
  }
};

}  // namespace

void bounded_rank_counts(const BoundedCatalogue& catalogue, const float* features, Index rows,
                         const std::int64_t* targets, std::int64_t* greater, std::int64_t* equal,
                         ScanStatistics& statistics, int threads) {
  const Index units = catalogue.rounded->units;
  const ScoreTile tile(features, rows, units, catalogue.w, catalogue.b);
  Buffer own(tile.groups() * kPanelRows);
  score_targets(tile, rows, units, catalogue.w, catalogue.b, targets, own.data());
  std::vector<GroupCounts> counts(static_cast<std::size_t>(threads * tile.groups()));
  Counter counter{own.data(), tile.groups(), counts};
  ThreadPool pool(threads);
  BoundedScan<Counter>(catalogue, features, rows, tile, counter).run(pool, threads, statistics);
  sum_counts(counts, tile.groups(), threads, rows, greater, equal);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
