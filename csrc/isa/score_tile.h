// Scores of feature rows against items, a tile at a time, so that they are used while they are in
// the L1 cache; rank_counts.cpp, top_k.cpp and item_scores.cpp share it. Every score is the same
// chain of multiply-adds wherever it is computed, so it depends on neither the tile, nor the other
// rows, nor the thread.
#pragma once

#include "engine/buffer.h"
#include "engine/thread_pool.h"
#include "isa/few_rows.h"
#include "isa/half_rows.h"
#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class ScoreTile {
 public:
  // A tile has up to kItems items and kRows rows; its scores and its features stay in the L1 cache.
  static constexpr Index kItems = 48;
  static constexpr Index kRows = 32;
  // Items that a thread takes at a time.
  static constexpr Index kChunkItems = 85 * kItems;

  // features (rows x units), w (V x units), b (V), all borrowed.
  ScoreTile(const float* features, Index rows, Index units, const ItemTable& w, const float* b)
      : rows_(rows),
        units_(units),
        stride_(row_stride(round_up(rows, kRows))),
        w_(w),
        b_(b),
        features_(features),
        features_t_(rows <= kFewRows ? 0 : units * stride_) {
    if (rows > kFewRows) transpose(rows, units, features, units, features_t_.data(), stride_);
  }

  // s (items x kRows): the scores of items first .. first + items - 1 of a float32 table for the
  // rows of a group.
  void score(Index first, Index items, Index group, float* s) const {
    score(w_.w + first * units_, b_ + first, items, group, s);
  }

  // The same for item rows w (items x units) and biases b (items).
  void score(const float* w, const float* b, Index items, Index group, float* s) const {
    if (rows_ <= kFewRows) {
      few_row_scores(features_, rows_, units_, w, b, items, s, kRows);
      return;
    }
    const Index n = at_most(rows_ - group * kRows, kRows);
    product(items, n, units_, Rows{w, units_}, features_t_.data() + group * kRows, stride_, s,
            kRows, false);
    for (Index u = 0; u < items; ++u) {
      for (Index i = 0; i < n; i += kWidth) {
        store(s + u * kRows + i, load(s + u * kRows + i) + b[u]);
      }
    }
  }

  // Scores all items 0 .. V - 1 for all rows, tile after tile; take(s, first, items, group, thread)
  // gets the scores of each.
  template <class Take>
  void score_all(Index V, ThreadPool& pool, const Take& take) const {
    const bool shared = rows_ * units_ * V > kWorthSharing;
    pool.run((V + kChunkItems - 1) / kChunkItems, shared, [&](Index chunk, int thread) {
      alignas(64) float s[kItems * kRows] = {};
      Buffer expanded(w_.half != nullptr ? kItems * units_ : 0);
      const Index end = at_most((chunk + 1) * kChunkItems, V);
      for (Index first = chunk * kChunkItems; first < end; first += kItems) {
        const Index items = at_most(end - first, kItems);
        const float* tile = w_.w + first * units_;
        if (w_.half != nullptr) {
          expand_row(w_.half + first * units_, items * units_, expanded.data());
          tile = expanded.data();
        }
        for (Index group = 0; group < groups(); ++group) {
          score(tile, b_ + first, items, group, s);
          take(s, first, items, group, thread);
        }
      }
    });
  }

  Index groups() const { return (rows_ + kRows - 1) / kRows; }

 private:
  Index rows_, units_, stride_;
  ItemTable w_;
  const float* b_;
  const float* features_;
  Buffer features_t_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
