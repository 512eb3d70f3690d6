// Counts of the items that score above, and equal to, each row's target.
#pragma once

#include <vector>

#include "isa/score_tile.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// One thread's counts of each row of a group. 32 bits suffice, as there are fewer than 2^31 items.
struct GroupCounts {
  std::int32_t greater[ScoreTile::kRows] = {};
  std::int32_t equal[ScoreTile::kRows] = {};
};

// own (groups x kRows): the scores of the targets, by the same arithmetic as those of all items.
inline void score_targets(const ScoreTile& tile, Index rows, Index units, const ItemTable& w,
                          const float* b, const std::int64_t* targets, float* own) {
  constexpr Index kRows = ScoreTile::kRows;
  Buffer target_rows(kRows * units), biases(kRows), s(kRows * kRows);
  for (Index group = 0; group < tile.groups(); ++group) {
    const Index n = at_most(rows - group * kRows, kRows);
    for (Index i = 0; i < n; ++i) {
      const Index item = targets[group * kRows + i];
      read_row(w, item, units, target_rows.data() + i * units);
      biases.data()[i] = b[item];
    }
    tile.score(target_rows.data(), biases.data(), n, group, s.data());
    for (Index i = 0; i < n; ++i) own[group * kRows + i] = s.data()[i * kRows + i];
  }
}

// greater, equal (rows): the sums over threads; counts[t * groups + g] is thread t's of group g.
inline void sum_counts(const std::vector<GroupCounts>& counts, Index groups, Index threads,
                       Index rows, std::int64_t* greater, std::int64_t* equal) {
  constexpr Index kRows = ScoreTile::kRows;
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
