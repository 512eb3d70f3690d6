// Events in any order -> events grouped by session, with bounded memory: an external sample sort.
//
// In:  E events as (session, item, time), batch after batch; session any int64, item 0..2^31-1,
//      time int64. Rows are numbered from 0 in the order of input.
// Out: parts of whole sessions. Part after part, and within each, events ascend by session, then
//      time, then row.
//
// Events are kept in memory. When they exceed the budget, they are cut into 512 ranges of sessions
// and appended to a file each, while the caller goes on. The ranges are quantiles of the first
// events. A file that is larger than the budget allows, because later sessions lie elsewhere, is
// cut again when its turn comes. Two threads read and sort the next parts while the caller uses the
// last one.
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <string>
#include <vector>

#include "data/event_records.h"
#include "data/span.h"

namespace gru4rec_fast {

class EventPartitions {
 public:
  // `folder` exists and is the caller's to delete. `memory` bytes, in all, at about.
  EventPartitions(std::string folder, std::int64_t memory);
  ~EventPartitions();

  // Throws std::invalid_argument for lengths that differ, a negative item, more than 2^33 rows, or
  // after the first `next`; std::runtime_error with the path where a file cannot be written.
  void add(Span<std::int64_t> session, Span<std::int32_t> item, Span<std::int64_t> time);
  // Puts session label[s] in place of each session s so far. Throws std::invalid_argument for a
  // session outside 0..n-1, or after the first `next`; std::runtime_error as `add` and `next`.
  void relabel(Span<std::int64_t> label);
  // The next part; an empty one at the end. Throws std::runtime_error where a file cannot be read.
  EventPart next();

  std::int64_t rows() const { return rows_; }
  std::int64_t spilled_bytes() const { return spilled_; }

 private:
  // A range of sessions: `size` events in a file, or from `first` in cut_ where it has none.
  struct Range {
    std::string file;
    std::int64_t first, size;
  };

  static void append(std::vector<Range>& ranges, const EventRecords& ordered,
                     const std::vector<std::int64_t>& starts);
  std::vector<Range> new_ranges(std::size_t count);
  void spill();
  void finish_spill();
  void cut_again(const Range& range);
  void begin_output();
  void start_loading();
  EventPart load(const Range& range) const;

  std::string folder_;
  std::size_t buffer_limit_;    // records
  std::int64_t part_limit_;     // records of a part
  EventRecords buffer_;         // being filled
  EventRecords spare_, cut_;    // being spilled, and that in the order of ranges
  std::future<void> spilling_;  // it alone uses spare_, cut_ and ranges_ meanwhile
  std::vector<std::int64_t> bounds_;
  std::vector<Range> ranges_;
  std::deque<Range> waiting_;
  std::deque<std::future<EventPart>> loading_;
  bool output_ = false;
  std::int64_t rows_ = 0, spilled_ = 0, files_ = 0;
};

}  // namespace gru4rec_fast
