// Events in any order -> events grouped by session, with bounded memory: an external sample sort.
//
// In:  E events as (session, item, time), batch after batch; session any int64, item 0..2^31-1,
//      time int64. Rows are numbered from 0 in the order of input.
// Out: parts of whole sessions. Part after part, and within each, events ascend by session, then
//      time, then row.
//
// Events are kept in memory. When they exceed the budget, they are cut into 256 ranges of sessions
// and appended to a file each. The ranges are quantiles of the first events. A file that is larger
// than the budget allows, because later sessions lie elsewhere, is cut again when its turn comes.
// A second thread reads and sorts the next part while the caller uses the last one.
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <string>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

struct EventPart {
  std::vector<std::int64_t> session, time, row;
  std::vector<std::int32_t> item;
};

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
  // Row and item share a word: it is compared last, so that ties keep the order of input.
  struct Record {
    std::int64_t session, time;
    std::uint64_t row_and_item;
  };
  using Records = std::vector<Record>;

  // A range of sessions: in a file, or in memory.
  struct Range {
    std::string file;
    Records records;
    std::int64_t size;
  };

  static void sort(Records& records);
  static EventPart part_of(const Records& records);
  static std::vector<std::int64_t> quantiles(const Records& records, std::size_t parts);
  static std::vector<Records> cut(const Records& records, const std::vector<std::int64_t>& bounds);
  std::vector<Range> new_ranges(std::size_t count);
  void append(std::vector<Range>& ranges, const std::vector<Records>& parts);
  void spill();
  void push(const Record& record);
  void begin_output();
  void start_next();
  EventPart load_first();

  std::string folder_;
  std::size_t buffer_limit_;  // records
  std::int64_t part_limit_;   // records of a part
  Records buffer_;
  std::vector<std::int64_t> bounds_;
  std::vector<Range> ranges_;
  std::deque<Range> waiting_;
  std::future<EventPart> loading_;
  bool output_ = false;
  std::int64_t rows_ = 0, spilled_ = 0, files_ = 0;
};

}  // namespace gru4rec_fast
