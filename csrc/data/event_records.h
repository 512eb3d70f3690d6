// Events in memory: cut into ranges of sessions, and sorted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gru4rec_fast {

inline constexpr int kItemBits = 31;
inline constexpr std::size_t kSample = 1 << 17;  // records that quantiles() looks at, at most about

// Row and item share a word: it is compared last, so that ties keep the order of input.
struct EventRecord {
  std::int64_t session, time;
  std::uint64_t row_and_item;
};
using EventRecords = std::vector<EventRecord>;

struct EventPart {
  std::vector<std::int64_t> session, time, row;
  std::vector<std::int32_t> item;
};

// Ascending sessions that divide a sample of the records into up to `parts` ranges of equal size.
std::vector<std::int64_t> quantiles(const EventRecords& records, std::size_t parts);
// Puts the records into the order of their ranges, by so many threads; returns where each begins,
// and the end. Range p holds the sessions from bounds[p - 1] to below bounds[p].
std::vector<std::int64_t> cut(const EventRecords& records, const std::vector<std::int64_t>& bounds,
                              EventRecords& ordered, std::size_t threads);
// By session, then time, then row.
void sort_events(EventRecords& records);
EventPart part_of(const EventRecords& records);

}  // namespace gru4rec_fast
