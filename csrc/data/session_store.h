// Sessions as one array of items with offsets: session s holds items[offsets[s]:offsets[s + 1]].
//
// In:  E events as (session code, item code, time), in any order. Session codes are 0..n-1, each
//      occurs; item codes are 0..2^31-1; times are int64 or float64 without NaN.
// Out: events grouped by session and ordered by time within it; ties keep the input order.
// Cost: O(E) for the grouping, plus a sort of each session that is not in time order already.
#pragma once

#include <cstdint>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

class SessionStore {
 public:
  // Throws std::invalid_argument for lengths that differ, codes out of range, a session code
  // without an event, and a time that is not a number. The spans are read and not kept.
  SessionStore(Span<std::int64_t> session, Span<std::int32_t> item, Span<std::int64_t> time,
               std::int64_t n_sessions);
  SessionStore(Span<std::int64_t> session, Span<std::int32_t> item, Span<double> time,
               std::int64_t n_sessions);

  const std::vector<std::int32_t>& items() const { return items_; }      // (E,)
  const std::vector<std::int64_t>& offsets() const { return offsets_; }  // (n + 1,)
  const std::vector<std::int64_t>& rows() const { return rows_; }  // (E,) input row of each event

  // Sessions by the time of their first event; ties by session code.
  std::vector<std::int64_t> order_by_time() const;
  // Sessions by the first input row that mentions them.
  std::vector<std::int64_t> order_by_appearance() const;

 private:
  template <class Time>
  void build(Span<std::int64_t> session, Span<std::int32_t> item, Span<Time> time,
             std::int64_t n_sessions);

  std::vector<std::int32_t> items_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::int64_t> rows_;
  std::vector<std::int64_t> time_order_;        // (n,) answer of order_by_time
  std::vector<std::int64_t> first_appearance_;  // (n,) first input row of each session
};

}  // namespace gru4rec_fast
