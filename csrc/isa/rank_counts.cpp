#include "isa/rank_counts.h"

#include <vector>

#include "engine/thread_pool.h"
#include "isa/score_tile.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kRows = ScoreTile::kRows;

// One thread's counts of the items that score above and equal to the target, of each row of a
// group. 32 bits suffice, as there are fewer than 2^31 items.
struct GroupCounts {
  std::int32_t greater[kRows] = {};
  std::int32_t equal[kRows] = {};
};

// The scores (rows) of the targets, by the same arithmetic as the scores of all items.
void score_targets(const ScoreTile& tile, Index rows, Index units, const float* w, const float* b,
                   const std::int64_t* targets, float* own) {
  Buffer target_rows(kRows * units), biases(kRows), s(kRows * kRows);
  for (Index group = 0; group < tile.groups(); ++group) {
    const Index n = at_most(rows - group * kRows, kRows);
    for (Index i = 0; i < n; ++i) {
      const Index item = targets[group * kRows + i];
      std::memcpy(target_rows.data() + i * units, w + item * units,
                  static_cast<std::size_t>(units) * sizeof(float));
      biases.data()[i] = b[item];
    }
    tile.score(target_rows.data(), biases.data(), n, group, s.data());
    for (Index i = 0; i < n; ++i) own[group * kRows + i] = s.data()[i * kRows + i];
  }
}

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

void rank_counts(const float* features, Index rows, Index units, const float* w, const float* b,
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

  for (Index i = 0; i < rows; ++i) {
    greater[i] = equal[i] = 0;
    for (Index thread = 0; thread < threads; ++thread) {
      const GroupCounts& c = counts[static_cast<std::size_t>(thread * groups + i / kRows)];
      greater[i] += c.greater[i % kRows];
      equal[i] += c.equal[i % kRows];
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
