// Training sessions by recency, and for each item the sessions that contain it.
//
// In:  the events of a session store and the order of its sessions from the oldest to the most
//      recent. Sessions are renumbered by recency: 0 is the most recent one.
// Out: two compressed tables, session -> its distinct items and item -> its most recent sessions.
// Cost: O(E) plus a sort of each session's items.
#pragma once

#include <cstdint>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

class SessionIndex {
 public:
  // Keeps at most `most_recent` sessions of each item. Throws std::invalid_argument for items
  // outside 0..n_items-1, offsets that do not fit the items, an order that is no permutation, and a
  // `most_recent` below 1. The spans are read and not kept.
  SessionIndex(Span<std::int32_t> items, Span<std::int64_t> offsets, Span<std::int64_t> order,
               std::int64_t n_items, std::int64_t most_recent);

  std::int64_t n_sessions() const { return static_cast<std::int64_t>(item_offsets_.size()) - 1; }
  std::int64_t n_items() const { return static_cast<std::int64_t>(support_.size()); }
  std::int64_t n_pairs() const { return static_cast<std::int64_t>(items_.size()); }

  // Distinct items of a session, ascending.
  Span<std::int32_t> items_of(std::int64_t session) const {
    return slice(items_, item_offsets_, session);
  }
  // The most recent sessions that contain an item, the most recent first.
  Span<std::int32_t> sessions_of(std::int64_t item) const {
    return slice(sessions_, session_offsets_, item);
  }
  // Number of all sessions that contain an item, also those that are not kept.
  std::int64_t support(std::int64_t item) const { return support_[static_cast<std::size_t>(item)]; }

 private:
  static Span<std::int32_t> slice(const std::vector<std::int32_t>& values,
                                  const std::vector<std::int64_t>& offsets, std::int64_t row) {
    const std::int64_t first = offsets[static_cast<std::size_t>(row)];
    return {values.data() + first, offsets[static_cast<std::size_t>(row) + 1] - first};
  }

  std::vector<std::int32_t> items_;
  std::vector<std::int64_t> item_offsets_;  // (n + 1,)
  std::vector<std::int32_t> sessions_;
  std::vector<std::int64_t> session_offsets_;  // (V + 1,)
  std::vector<std::int64_t> support_;          // (V,)
};

}  // namespace gru4rec_fast
