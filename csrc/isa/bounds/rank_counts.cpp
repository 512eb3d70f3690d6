#include "isa/bounds/rank_counts.h"

#include <algorithm>
#include <vector>

#include "isa/bounds/scan.h"
#include "isa/index_array.h"
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

// Counts the undecided items of each row.
struct Sampler {
  static constexpr bool kCounts = true;

  const float* own;
  std::int32_t* undecided;  // (groups x kPanelRows)
  std::int32_t unused[kPanelRows] = {};

  bool thresholds(Index group, int, float* s) const {
    std::memcpy(s, own + group * kPanelRows, kPanelRows * sizeof(float));
    return true;
  }

  std::int32_t* above(Index, int) { return unused; }

  void take(const float*, Index, const Undecided* listed, Index n, Index column, int) {
    for (Index u = 0; u < n; ++u) {
      for (std::uint32_t lanes = listed[u].lanes; lanes != 0; lanes &= lanes - 1) {
        ++undecided[column + __builtin_ctz(lanes)];
      }
    }
  }
};

struct Row {
  std::int32_t undecided;
  std::int32_t row;
  bool operator<(const Row& other) const {
    return undecided != other.undecided ? undecided < other.undecided : row < other.row;
  }
};

// A vector of rows is scored for every item that one of them leaves undecided. So rows that leave
// many, because their target is among the bulk of the items, are put side by side. A sample from
// the middle of the catalogue tells which; of a small catalogue the order stays.
std::vector<Row> order_rows(const BoundedCatalogue& catalogue, const float* features, Index rows,
                            const float* own) {
  constexpr Index kSample = 1920, kLarge = 32 * kSample;
  std::vector<Row> order(static_cast<std::size_t>(rows));
  for (Index i = 0; i < rows; ++i) {
    order[static_cast<std::size_t>(i)] = {0, static_cast<std::int32_t>(i)};
  }
  const Index items = catalogue.rounded->items, units = catalogue.rounded->units;
  if (items < kLarge || rows <= kWidth) return order;
  const Index first = (items - kSample) / 2;
  RoundedItems sample = *catalogue.rounded;
  sample.items = kSample;
  sample.q += first * units;
  sample.scale += first;
  sample.norms += first;
  const BoundedCatalogue part = {&sample, catalogue.w + first * units, catalogue.b + first,
                                 catalogue.bound_factor};
  const ScoreTile tile(features, rows, units, {part.w, nullptr}, part.b);
  IndexArray undecided(tile.groups() * kPanelRows);
  Sampler sampler{own, undecided.data()};
  ThreadPool pool(1);
  ScanStatistics unused;
  BoundedScan<Sampler>(part, features, rows, tile, sampler).run(pool, 1, unused);
  for (Row& row : order) row.undecided = undecided[row.row];
  std::sort(order.begin(), order.end());
  return order;
}

struct Counts {
  std::int64_t greater, equal;
};

}  // namespace

void bounded_rank_counts(const BoundedCatalogue& catalogue, const float* features, Index rows,
                         const std::int64_t* targets, std::int64_t* greater, std::int64_t* equal,
                         ScanStatistics& statistics, int threads) {
  const Index units = catalogue.rounded->units;
  const ScoreTile given(features, rows, units, {catalogue.w, nullptr}, catalogue.b);
  const Index groups = given.groups();
  Buffer own(groups * kPanelRows), sorted_own(groups * kPanelRows), sorted(rows * units);
  score_targets(given, rows, units, {catalogue.w, nullptr}, catalogue.b, targets, own.data());
  const std::vector<Row> order = order_rows(catalogue, features, rows, own.data());
  for (Index i = 0; i < rows; ++i) {
    const Index row = order[static_cast<std::size_t>(i)].row;
    copy(sorted.data() + i * units, features + row * units, units);
    sorted_own.data()[i] = own.data()[row];
  }

  const ScoreTile tile(sorted.data(), rows, units, {catalogue.w, nullptr}, catalogue.b);
  std::vector<GroupCounts> counts(static_cast<std::size_t>(threads * groups));
  Counter counter{sorted_own.data(), groups, counts};
  ThreadPool pool(threads);
  BoundedScan<Counter>(catalogue, sorted.data(), rows, tile, counter)
      .run(pool, threads, statistics);

  sum_counts(counts, groups, threads, rows, greater, equal);
  std::vector<Counts> of_row(static_cast<std::size_t>(rows));
  for (Index i = 0; i < rows; ++i) {
    of_row[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].row)] = {greater[i],
                                                                                equal[i]};
  }
  for (Index i = 0; i < rows; ++i) {
    greater[i] = of_row[static_cast<std::size_t>(i)].greater;
    equal[i] = of_row[static_cast<std::size_t>(i)].equal;
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
