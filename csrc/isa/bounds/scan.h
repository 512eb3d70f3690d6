// The scan of a catalogue by bounds. Items go by in blocks: integer scores of a block place most of
// its items above or below each row's threshold, and the rest get their float32 scores.
#pragma once

#include <vector>

#include "engine/thread_pool.h"
#include "isa/bounds/rounded_features.h"
#include "isa/score_tile.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

static_assert(kPanelRows == ScoreTile::kRows);

// An item whose float32 score counts for the lanes (feature rows) in `lanes`.
struct Undecided {
  std::int32_t item;
  std::uint32_t lanes;
};

inline constexpr std::uint32_t kAllLanes = (1u << kWidth) - 1;

// The lanes in which a >= b.
inline std::uint32_t lanes_not_below(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)));
#else
  std::uint32_t lanes = 0;
  for (Index j = 0; j < kWidth; ++j) lanes |= static_cast<std::uint32_t>(a[j] >= b[j]) << j;
  return lanes;
#endif
}

inline IntVec load_integers(const std::int32_t* p) {
  IntVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// x and E of rounded_features.h; lanes are feature rows or items.
struct Estimate {
  Vec x, bound;
};
inline Estimate estimate(IntVec d, Vec scale, Vec bias, Vec inverse, Vec threshold, Vec rest,
                         Vec of_rest, Vec rounded, Vec of_rounded, Vec of_threshold) {
  return {scale * __builtin_convertvector(d, Vec) + (bias * inverse - threshold),
          rest * of_rest + (rounded * of_rounded + of_threshold)};
}

// Taker decides what becomes of the scores, thread by thread:
//   thresholds(group, thread, s)  fills s (kPanelRows); false while there are none
//   kCounts                       whether items surely above a threshold are counted; if not, they
//                                 are scored like the undecided
//   above(group, thread)          (kPanelRows) int32 counts to add to
//   take(scores, stride, undecided, n, column, thread)
//                                 scores of n items, for kWidth rows from `column` on
template <class Taker>
class BoundedScan {
 public:
  BoundedScan(const BoundedCatalogue& catalogue, const float* features, Index rows,
              const ScoreTile& tile, Taker& taker)
      : rounded_(*catalogue.rounded),
        w_(catalogue.w),
        b_(catalogue.b),
        rows_(rows),
        features_(catalogue, features, rows),
        stride_(row_stride(round_up(rows, kPanelRows))),
        features_t_(rounded_.units * stride_),
        tile_(tile),
        taker_(taker) {
    transpose(rows, rounded_.units, features, rounded_.units, features_t_.data(), stride_);
  }

  void run(ThreadPool& pool, int threads, ScanStatistics& statistics) {
    const Index V = rounded_.items;
    std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
    for (Scratch& own : scratch) own.plain_blocks.resize(static_cast<std::size_t>(tile_.groups()));
    const bool shared = rows_ * rounded_.units * V > kWorthSharing;
    pool.run((V + kChunkItems - 1) / kChunkItems, shared, [&](Index chunk, int thread) {
      Scratch& own = scratch[static_cast<std::size_t>(thread)];
      own.thread = thread;
#if defined(GRU4REC_FAST_TILES)
      Tiles tiles;
      own.tiles = &tiles;
#endif
      const Index end = at_most((chunk + 1) * kChunkItems, V);
      for (Index first = chunk * kChunkItems; first < end; first += kBlockItems) {
        block(first, at_most(end - first, kBlockItems), own);
      }
    });
    for (const Scratch& own : scratch) {
      statistics.pairs += own.statistics.pairs;
      statistics.undecided += own.statistics.undecided;
      statistics.scored += own.statistics.scored;
    }
  }

 private:
  static constexpr Index kTileItems = ScoreTile::kItems;
  // The float rows of a block stay in the L2 cache while all groups of rows go by.
  static constexpr Index kBlockItems = 10 * kTileItems;
  static constexpr Index kChunkItems = 8 * kBlockItems;
  static constexpr Index kVectors = kPanelRows / kWidth;
  // After a block of which more than half of the pairs were scored, so many blocks are scored
  // without bounds.
  static constexpr std::int32_t kPlainBlocks = 8;

  struct List {
    Index n = 0;
    Undecided entry[kBlockItems];

    void add(Index item, std::uint32_t lanes) {
      entry[n++] = {static_cast<std::int32_t>(item), lanes};
    }
  };

  struct PlainBlocks {
    std::int32_t left = 0;
  };

  struct Scratch {
    int thread = 0;
    ScanStatistics statistics;
    std::vector<PlainBlocks> plain_blocks;  // of each group
    typename RoundedFeatures::Group group;
    List list[kVectors];
    alignas(64) float rest[kBlockItems], rounded[kBlockItems];
    alignas(64) std::int32_t
        d[kBlockItems > kTileItems* kPanelRows ? kBlockItems : kTileItems * kPanelRows];
    alignas(64) float s[kTileItems * kPanelRows] = {};
#if defined(GRU4REC_FAST_TILES)
    Tiles* tiles;
#endif
  };

  void block(Index first, Index items, Scratch& own) {
    unpack_norms(first, items, own);
    for (Index group = 0; group < tile_.groups(); ++group) {
      const Index rows = at_most(rows_ - group * kPanelRows, kPanelRows);
      own.statistics.pairs += items * rows;
      PlainBlocks& plain = own.plain_blocks[static_cast<std::size_t>(group)];
      alignas(64) float thresholds[kPanelRows] = {};
      if (plain.left > 0) {
        --plain.left;
        score_block(first, items, group, rows, own);
      } else if (!taker_.thresholds(group, own.thread, thresholds) ||
                 !features_.fill(group, thresholds, own.group)) {
        score_block(first, items, group, rows, own);
      } else if (features_.few()) {
        for (Index row = 0; row < rows; ++row) {
          place_few(first, items, row, own);
          score_undecided(own.list[0], 0, own);
        }
      } else {
        place(first, items, group, rows, own);
        Index scored = 0;
        for (Index j = 0; j * kWidth < rows; ++j) {
          scored += own.list[j].n;
          score_undecided(own.list[j], group * kPanelRows + j * kWidth, own);
        }
        if (2 * scored * kWidth > items * rows) plain.left = kPlainBlocks;
      }
    }
  }

  void unpack_norms(Index first, Index items, Scratch& own) const {
    const std::uint32_t* const norms = rounded_.norms + first;
    Index u = 0;
    for (; u + kWidth <= items; u += kWidth) {
      IntVec both;
      std::memcpy(&both, norms + u, sizeof both);
      store(own.rest + u, from_bits(both & -65536));  // the upper half
      store(own.rounded + u, from_bits(both << 16));
    }
    for (; u < items; ++u) {
      const std::uint32_t rest = norms[u] & 0xFFFF0000u, rounded = norms[u] << 16;
      std::memcpy(own.rest + u, &rest, sizeof rest);
      std::memcpy(own.rounded + u, &rounded, sizeof rounded);
    }
  }

  // Counts what is surely above, and lists what is not surely placed, of a block and a group.
  void place(Index first, Index items, Index group, Index rows, Scratch& own) {
    const typename RoundedFeatures::Group& g = own.group;
    const Index H = rounded_.units;
    for (Index from = 0; from < items; from += kTileItems) {
      const Index n = at_most(items - from, kTileItems);
      const std::uint8_t* const q = rounded_.q + (first + from) * H;
#if defined(GRU4REC_FAST_TILES)
      tile_product(*own.tiles, q, H, n, features_.depth(), features_.panel(group), g.start, own.d);
#else
      integer_product(q, H, n, features_.depth(), features_.panel(group), g.start, rows, own.d);
#endif
      for (Index j = 0; j * kWidth < rows; ++j) {
        const Index i = j * kWidth;
        place_vector(own.d + i, first + from, n, from, i, lanes_of(rows - i), own.list[j],
                     Taker::kCounts ? taker_.above(group, own.thread) + i : nullptr, own);
      }
    }
  }

  static std::uint32_t lanes_of(Index rows) {
    return rows >= kWidth ? kAllLanes : (1u << rows) - 1;
  }

  // The kWidth rows from i on, for the n items of a tile.
  void place_vector(const std::int32_t* d, Index first, Index n, Index in_block, Index i,
                    std::uint32_t valid, List& list, std::int32_t* above, Scratch& own) const {
    const typename RoundedFeatures::Group& g = own.group;
    const Vec inverse = load(g.inverse + i), threshold = load(g.threshold + i);
    const Vec of_rest = load(g.of_rest + i), of_rounded = load(g.of_rounded + i);
    const Vec of_threshold = load(g.of_threshold + i);
    IntVec greater{};
    if constexpr (Taker::kCounts) greater = load_integers(above);
    for (Index u = 0; u < n; ++u) {
      const Estimate e =
          estimate(load_integers(d + u * kPanelRows), broadcast(rounded_.scale[first + u]),
                   broadcast(b_[first + u]), inverse, threshold, broadcast(own.rest[in_block + u]),
                   of_rest, broadcast(own.rounded[in_block + u]), of_rounded, of_threshold);
      std::uint32_t lanes;
      if constexpr (Taker::kCounts) {
        greater -= e.x > e.bound;
        lanes = lanes_not_below(e.bound, from_bits(bits(e.x) & 0x7FFFFFFF)) & valid;
      } else {
        lanes = lanes_not_below(e.x, -e.bound) & valid;
      }
      if (lanes != 0) {
        list.add(first + u, lanes);
        prefetch(first + u);
      }
    }
    if constexpr (Taker::kCounts) std::memcpy(above, &greater, sizeof greater);
  }

  // One of few rows. A vector holds the estimates of kWidth items.
  void place_few(Index first, Index items, Index row, Scratch& own) {
    const typename RoundedFeatures::Group& g = own.group;
    integer_dots(rounded_.q + first * rounded_.units, rounded_.units, items, rounded_.units,
                 features_.integers(row), g.start[row], own.d);
    const Vec inverse = broadcast(g.inverse[row]), threshold = broadcast(g.threshold[row]);
    const Vec of_rest = broadcast(g.of_rest[row]), of_rounded = broadcast(g.of_rounded[row]);
    const Vec of_threshold = broadcast(g.of_threshold[row]);
    IntVec greater{};
    for (Index u = 0; u < items; u += kWidth) {
      const Index n = at_most(items - u, kWidth);
      const Index item = first + u;
      const bool whole = n == kWidth;
      const Estimate e =
          estimate(load_integers(own.d + u),
                   whole ? load(rounded_.scale + item) : load_first(rounded_.scale + item, n),
                   whole ? load(b_ + item) : load_first(b_ + item, n), inverse, threshold,
                   load(own.rest + u), of_rest, load(own.rounded + u), of_rounded, of_threshold);
      std::uint32_t lanes;
      if constexpr (Taker::kCounts) {
        const IntVec is_above = e.x > e.bound;
        if (whole) {
          greater -= is_above;
        } else {
          for (Index j = 0; j < n; ++j) greater[j] -= is_above[j];
        }
        lanes = lanes_not_below(e.bound, from_bits(bits(e.x) & 0x7FFFFFFF));
      } else {
        lanes = lanes_not_below(e.x, -e.bound);
      }
      for (lanes &= lanes_of(n); lanes != 0; lanes &= lanes - 1) {
        const Index undecided = item + __builtin_ctz(lanes);
        own.list[0].add(undecided, 1u << row);
        prefetch(undecided);
      }
    }
    if constexpr (Taker::kCounts) {
      std::int32_t total = 0;
      for (Index j = 0; j < kWidth; ++j) total += greater[j];
      taker_.above(0, own.thread)[row] += total;
    }
  }

  void prefetch(Index item) const {
    const float* const row = w_ + item * rounded_.units;
    for (Index k = 0; k < rounded_.units; k += 16) __builtin_prefetch(row + k);
  }

  // Empties the list of the kWidth rows from `column` on.
  void score_undecided(List& list, Index column, Scratch& own) {
    const float* items[kTileItems];
    float biases[kTileItems];
    own.statistics.scored += list.n * at_most(rows_ - column, kWidth);
    for (Index from = 0; from < list.n; from += kTileItems) {
      const Index n = at_most(list.n - from, kTileItems);
      const Undecided* const undecided = list.entry + from;
      for (Index u = 0; u < n; ++u) {
        items[u] = w_ + undecided[u].item * rounded_.units;
        biases[u] = b_[undecided[u].item];
        own.statistics.undecided += __builtin_popcount(undecided[u].lanes);
      }
      // The chain of multiply-adds of ScoreTile, which is the same in every shape of product.
      product(n, kWidth, rounded_.units, PickedRows{items}, features_t_.data() + column, stride_,
              own.s, kWidth, false);
      for (Index u = 0; u < n; ++u) {
        store(own.s + u * kWidth, load(own.s + u * kWidth) + biases[u]);
      }
      taker_.take(own.s, kWidth, undecided, n, column, own.thread);
    }
    list.n = 0;
  }

  // Scores a whole block for a group, as the scan without bounds does.
  void score_block(Index first, Index items, Index group, Index rows, Scratch& own) {
    Undecided every[kTileItems];
    own.statistics.undecided += items * rows;
    own.statistics.scored += items * rows;
    for (Index from = 0; from < items; from += kTileItems) {
      const Index n = at_most(items - from, kTileItems);
      tile_.score(first + from, n, group, own.s);
      for (Index i = 0; i < rows; i += kWidth) {
        for (Index u = 0; u < n; ++u) {
          every[u] = {static_cast<std::int32_t>(first + from + u), lanes_of(rows - i)};
        }
        taker_.take(own.s + i, kPanelRows, every, n, group * kPanelRows + i, own.thread);
      }
    }
  }

  const RoundedItems& rounded_;
  const float* w_;
  const float* b_;
  Index rows_;
  RoundedFeatures features_;
  Index stride_;
  Buffer features_t_;  // (units x rows), see lane_matrix.h
  const ScoreTile& tile_;
  Taker& taker_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
