#include "isa/rank_counts.h"

#include <vector>

#include "engine/thread_pool.h"
#include "isa/target_counts.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kRows = ScoreTile::kRows;

void count(const float* s, Index items, const float* own, GroupCounts& counts) {
  for (Index i = 0; i < kRows; i += kWidth) {
    const Vec mine = load(own + i);
    IntVec greater{}, equal{};
    for (Index u = 0; u < items; ++u) {
      const Vec score = load(s + u * kRows + i);
      greater -= score > mine;  // a true comparison is -1
      equal -= score == mine;
    }
    for (Index j = 0; j < kWidth; ++j) {
      counts.greater[i + j] += greater[j];
      counts.equal[i + j] += equal[j];
    }
  }
}

}  // namespace

void rank_counts(const float* features, Index rows, Index units, const ItemTable& w, const float* b,
                 Index items, const std::int64_t* targets, std::int64_t* greater,
                 std::int64_t* equal, int threads) {
  const ScoreTile tile(features, rows, units, w, b);
  const Index groups = tile.groups();
  Buffer own(groups * kRows);
  score_targets(tile, rows, units, w, b, targets, own.data());

  ThreadPool pool(threads);
  std::vector<GroupCounts> counts(static_cast<std::size_t>(threads * groups));
  tile.score_all(items, pool, [&](const float* s, Index, Index n, Index group, int thread) {
    count(s, n, own.data() + group * kRows,
          counts[static_cast<std::size_t>(thread * groups + group)]);
  });
  sum_counts(counts, groups, threads, rows, greater, equal);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
