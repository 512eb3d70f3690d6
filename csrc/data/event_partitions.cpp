#include "data/event_partitions.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace gru4rec_fast {
namespace {

constexpr std::size_t kRanges = 512;
constexpr std::size_t kThreads = 2;          // that sort parts, or cut what the caller waits for
constexpr std::size_t kInBackground = 4096;  // events that are worth a thread
constexpr std::int64_t kMostRows = std::int64_t{1} << 33;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

[[noreturn]] void fail(const char* what, const std::string& path) {
  throw std::runtime_error(std::string("cannot ") + what + " " + path + ": " +
                           std::strerror(errno));
}

File open(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode));
  if (!file) fail("open", path);
  return file;
}

}  // namespace

EventPartitions::EventPartitions(std::string folder, std::int64_t memory)
    : folder_(std::move(folder)) {
  if (memory < 1) {
    throw std::invalid_argument("memory is " + std::to_string(memory) +
                                "; expected a number of bytes");
  }
  // A spill holds its events twice, beside those that come in; the output two parts being made, one
  // ready, and one in use.
  const std::int64_t records = memory / static_cast<std::int64_t>(sizeof(EventRecord));
  buffer_limit_ = static_cast<std::size_t>(std::max<std::int64_t>(records / 3, 1));
  part_limit_ = std::max<std::int64_t>(records / 8, 1);
}

EventPartitions::~EventPartitions() {
  if (spilling_.valid()) spilling_.wait();
  for (const std::future<EventPart>& part : loading_) part.wait();
}

void EventPartitions::add(Span<std::int64_t> session, Span<std::int32_t> item,
                          Span<std::int64_t> time) {
  if (session.size() != item.size() || session.size() != time.size()) {
    throw std::invalid_argument("session, item and time have lengths " +
                                std::to_string(session.size()) + ", " +
                                std::to_string(item.size()) + " and " +
                                std::to_string(time.size()) + "; pass one of each per event");
  }
  if (output_) throw std::invalid_argument("events were added after the first part was taken");
  if (rows_ + session.size() > kMostRows) {
    throw std::invalid_argument("more than 2^33 events; prepare the log in several stores");
  }
  for (std::int64_t i = 0; i < session.size();) {
    if (buffer_.size() == buffer_limit_) spill();
    const auto room = static_cast<std::int64_t>(buffer_limit_ - buffer_.size());
    const std::int64_t end = i + std::min(session.size() - i, room);
    const std::size_t size = buffer_.size() + static_cast<std::size_t>(end - i);
    if (size > buffer_.capacity()) buffer_.reserve(std::min(buffer_limit_, 2 * size));
    for (; i < end; ++i) {
      if (item[i] < 0) {
        throw std::invalid_argument("item code " + std::to_string(item[i]) +
                                    " is negative; expected 0..2147483647");
      }
      const auto row = static_cast<std::uint64_t>(rows_++);
      buffer_.push_back(
          {session[i], time[i], row << kItemBits | static_cast<std::uint32_t>(item[i])});
    }
  }
}

void EventPartitions::relabel(Span<std::int64_t> label) {
  if (output_) throw std::invalid_argument("sessions were relabelled after the first part");
  const auto apply = [&](EventRecord& record) {
    if (record.session < 0 || record.session >= label.size()) {
      throw std::invalid_argument("session " + std::to_string(record.session) +
                                  " has no label; expected one for each of 0..n-1");
    }
    record.session = label[record.session];
  };
  if (ranges_.empty()) {
    for (EventRecord& record : buffer_) apply(record);
    return;
  }
  spill();
  finish_spill();
  const std::vector<Range> old = std::move(ranges_);
  ranges_.clear();
  EventRecords block;
  for (const Range& range : old) {
    if (range.size == 0) continue;
    File file = open(range.file, "rb");
    for (std::int64_t left = range.size; left > 0;) {
      block.resize(static_cast<std::size_t>(std::min(left, part_limit_)));
      if (std::fread(block.data(), sizeof(EventRecord), block.size(), file.get()) != block.size()) {
        fail("read", range.file);
      }
      left -= static_cast<std::int64_t>(block.size());
      for (EventRecord& record : block) {
        apply(record);
        if (buffer_.size() == buffer_limit_) spill();
        buffer_.push_back(record);
      }
    }
    file.reset();
    std::remove(range.file.c_str());
  }
}

std::vector<EventPartitions::Range> EventPartitions::new_ranges(std::size_t count) {
  std::vector<Range> ranges;
  for (std::size_t p = 0; p < count; ++p) {
    ranges.push_back({folder_ + "/events-" + std::to_string(files_++), 0, 0});
  }
  return ranges;
}

void EventPartitions::append(std::vector<Range>& ranges, const EventRecords& ordered,
                             const std::vector<std::int64_t>& starts) {
  for (std::size_t p = 0; p < ranges.size(); ++p) {
    const std::int64_t size = starts[p + 1] - starts[p];
    if (size == 0) continue;
    const std::string& path = ranges[p].file;
    File file = open(path, "ab");
    const auto n = static_cast<std::size_t>(size);
    if (std::fwrite(ordered.data() + starts[p], sizeof(EventRecord), n, file.get()) != n) {
      fail("write", path);
    }
    if (std::fclose(file.release()) != 0) fail("write", path);
    ranges[p].size += size;
  }
}

void EventPartitions::spill() {
  finish_spill();
  if (buffer_.empty()) return;
  if (ranges_.empty()) {
    bounds_ = quantiles(buffer_, kRanges);
    ranges_ = new_ranges(bounds_.size() + 1);
  }
  spilled_ += static_cast<std::int64_t>(buffer_.size() * sizeof(EventRecord));
  buffer_.swap(spare_);
  buffer_.clear();
  const auto write = [this] { append(ranges_, cut_, cut(spare_, bounds_, cut_, 1)); };
  if (spare_.size() < kInBackground) return write();
  spilling_ = std::async(std::launch::async, write);
}

void EventPartitions::finish_spill() {
  if (spilling_.valid()) spilling_.get();
}

void EventPartitions::begin_output() {
  output_ = true;
  if (ranges_.empty() && !buffer_.empty()) {
    const auto starts = cut(buffer_, quantiles(buffer_, kRanges), cut_, kThreads);
    for (std::size_t p = 0; p + 1 < starts.size(); ++p) {
      waiting_.push_back({"", starts[p], starts[p + 1] - starts[p]});
    }
  } else if (!ranges_.empty()) {
    spill();
    finish_spill();
    for (Range& range : ranges_) waiting_.push_back(std::move(range));
    EventRecords().swap(cut_);
  }
  EventRecords().swap(buffer_);
  EventRecords().swap(spare_);
  ranges_.clear();
}

// Cuts a file that is too large; its ranges wait first.
void EventPartitions::cut_again(const Range& range) {
  File file = open(range.file, "rb");
  EventRecords block, ordered;
  // Blocks from all over the file: its sessions may ascend with the rows.
  const auto rows = static_cast<std::int64_t>(kSample / 64);
  for (std::int64_t k = 0; k < 64; ++k) {
    const std::int64_t at = k * (range.size / 64);
    const auto n = static_cast<std::size_t>(std::min(rows, range.size - at));
    const std::size_t before = block.size();
    block.resize(before + n);
    if (std::fseek(file.get(),
                   static_cast<long>(at * static_cast<std::int64_t>(sizeof(EventRecord))),
                   SEEK_SET) != 0 ||
        std::fread(block.data() + before, sizeof(EventRecord), n, file.get()) != n) {
      fail("read", range.file);
    }
  }
  const auto bounds = quantiles(block, static_cast<std::size_t>(std::min<std::int64_t>(
                                           kRanges, 2 * range.size / part_limit_ + 1)));
  if (bounds.empty()) {  // one session, as far as the sample tells
    waiting_.push_front(range);
    return;
  }
  std::vector<Range> ranges = new_ranges(bounds.size() + 1);
  std::rewind(file.get());
  for (std::int64_t left = range.size; left > 0;) {
    const auto n = static_cast<std::size_t>(std::min(left, part_limit_));
    block.resize(n);
    if (std::fread(block.data(), sizeof(EventRecord), n, file.get()) != n) fail("read", range.file);
    append(ranges, ordered, cut(block, bounds, ordered, 1));
    left -= static_cast<std::int64_t>(n);
  }
  spilled_ += range.size * static_cast<std::int64_t>(sizeof(EventRecord));
  file.reset();
  std::remove(range.file.c_str());
  for (auto it = ranges.rbegin(); it != ranges.rend(); ++it) waiting_.push_front(std::move(*it));
}

// The events of a range, sorted.
EventPart EventPartitions::load(const Range& range) const {
  EventRecords records;
  if (range.file.empty()) {
    records.assign(cut_.begin() + range.first, cut_.begin() + range.first + range.size);
  } else {
    records.resize(static_cast<std::size_t>(range.size));
    File file = open(range.file, "rb");
    if (std::fread(records.data(), sizeof(EventRecord), records.size(), file.get()) !=
        records.size()) {
      fail("read", range.file);
    }
    file.reset();
    std::remove(range.file.c_str());
  }
  sort_events(records);
  return part_of(records);
}

void EventPartitions::start_loading() {
  while (loading_.size() < kThreads && !waiting_.empty()) {
    Range range = std::move(waiting_.front());
    waiting_.pop_front();
    if (range.size == 0) continue;
    if (!range.file.empty() && range.size > part_limit_) {
      const std::int64_t size = range.size;
      cut_again(range);
      if (waiting_.front().size < size) continue;
      range = std::move(waiting_.front());  // It cannot be cut.
      waiting_.pop_front();
    }
    loading_.push_back(
        std::async(std::launch::async, [this, range = std::move(range)] { return load(range); }));
  }
}

EventPart EventPartitions::next() {
  if (!output_) begin_output();
  start_loading();
  if (loading_.empty()) {
    EventRecords().swap(cut_);
    return {};
  }
  std::future<EventPart> first = std::move(loading_.front());
  loading_.pop_front();
  EventPart part = first.get();
  start_loading();
  return part;
}

}  // namespace gru4rec_fast
