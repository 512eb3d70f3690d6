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

constexpr std::size_t kRanges = 256;
constexpr std::size_t kSample = 1 << 16;
constexpr std::size_t kBucket = 8;  // events of a bucket while a part is sorted
constexpr int kItemBits = 31;
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
  // A spill holds the events twice; the output a part being made, one ready, and one in use.
  const std::int64_t records = memory / static_cast<std::int64_t>(sizeof(Record));
  buffer_limit_ = static_cast<std::size_t>(std::max<std::int64_t>(records / 2, 1));
  part_limit_ = std::max<std::int64_t>(records / 8, 1);
}

EventPartitions::~EventPartitions() {
  if (loading_.valid()) loading_.wait();
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
  for (std::int64_t i = 0; i < session.size(); ++i) {
    if (item[i] < 0) {
      throw std::invalid_argument("item code " + std::to_string(item[i]) +
                                  " is negative; expected 0..2147483647");
    }
    const auto row = static_cast<std::uint64_t>(rows_++);
    push({session[i], time[i], row << kItemBits | static_cast<std::uint32_t>(item[i])});
  }
}

void EventPartitions::push(const Record& record) {
  if (buffer_.size() == buffer_limit_) spill();
  if (buffer_.size() == buffer_.capacity()) {
    buffer_.reserve(std::min(buffer_limit_, std::max<std::size_t>(1024, 2 * buffer_.size())));
  }
  buffer_.push_back(record);
}

void EventPartitions::relabel(Span<std::int64_t> label) {
  if (output_) throw std::invalid_argument("sessions were relabelled after the first part");
  const auto apply = [&](Record& record) {
    if (record.session < 0 || record.session >= label.size()) {
      throw std::invalid_argument("session " + std::to_string(record.session) +
                                  " has no label; expected one for each of 0..n-1");
    }
    record.session = label[record.session];
  };
  if (ranges_.empty()) {
    for (Record& record : buffer_) apply(record);
    return;
  }
  spill();
  const std::vector<Range> old = std::move(ranges_);
  ranges_.clear();
  Records block;
  for (const Range& range : old) {
    if (range.size == 0) continue;
    File file = open(range.file, "rb");
    for (std::int64_t left = range.size; left > 0;) {
      block.resize(static_cast<std::size_t>(std::min(left, part_limit_)));
      if (std::fread(block.data(), sizeof(Record), block.size(), file.get()) != block.size()) {
        fail("read", range.file);
      }
      left -= static_cast<std::int64_t>(block.size());
      for (Record& record : block) {
        apply(record);
        push(record);
      }
    }
    file.reset();
    std::remove(range.file.c_str());
  }
}

std::vector<std::int64_t> EventPartitions::quantiles(const Records& records, std::size_t parts) {
  std::vector<std::int64_t> sample;
  const std::size_t stride = std::max<std::size_t>(1, records.size() / kSample);
  for (std::size_t i = 0; i < records.size(); i += stride) sample.push_back(records[i].session);
  std::sort(sample.begin(), sample.end());
  std::vector<std::int64_t> bounds;
  for (std::size_t p = 1; p < parts; ++p) {
    const std::int64_t bound = sample[p * sample.size() / parts];
    if (bounds.empty() ? bound > sample.front() : bound > bounds.back()) bounds.push_back(bound);
  }
  return bounds;
}

// Range p holds the sessions from bounds[p - 1] to below bounds[p].
std::vector<EventPartitions::Records> EventPartitions::cut(
    const Records& records, const std::vector<std::int64_t>& bounds) {
  const auto range_of = [&](const Record& record) {
    return static_cast<std::size_t>(std::upper_bound(bounds.begin(), bounds.end(), record.session) -
                                    bounds.begin());
  };
  std::vector<std::uint16_t> range(records.size());
  std::vector<std::size_t> count(bounds.size() + 1, 0);
  for (std::size_t i = 0; i < records.size(); ++i) {
    range[i] = static_cast<std::uint16_t>(range_of(records[i]));
    ++count[range[i]];
  }
  std::vector<Records> parts(count.size());
  for (std::size_t p = 0; p < parts.size(); ++p) parts[p].reserve(count[p]);
  for (std::size_t i = 0; i < records.size(); ++i) parts[range[i]].push_back(records[i]);
  return parts;
}

std::vector<EventPartitions::Range> EventPartitions::new_ranges(std::size_t count) {
  std::vector<Range> ranges;
  for (std::size_t p = 0; p < count; ++p) {
    ranges.push_back({folder_ + "/events-" + std::to_string(files_++), {}, 0});
  }
  return ranges;
}

void EventPartitions::append(std::vector<Range>& ranges, const std::vector<Records>& parts) {
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].empty()) continue;
    const std::string& path = ranges[p].file;
    File file = open(path, "ab");
    if (std::fwrite(parts[p].data(), sizeof(Record), parts[p].size(), file.get()) !=
        parts[p].size()) {
      fail("write", path);
    }
    if (std::fclose(file.release()) != 0) fail("write", path);
    ranges[p].size += static_cast<std::int64_t>(parts[p].size());
    spilled_ += static_cast<std::int64_t>(parts[p].size() * sizeof(Record));
  }
}

void EventPartitions::spill() {
  if (ranges_.empty()) {
    bounds_ = quantiles(buffer_, kRanges);
    ranges_ = new_ranges(bounds_.size() + 1);
  }
  append(ranges_, cut(buffer_, bounds_));
  buffer_.clear();
}

// Scatters the events into buckets of a few each, by an even division of the sessions' range, and
// sorts these. Where sessions are spread unevenly, a bucket is large, and this is just a sort.
void EventPartitions::sort(Records& records) {
  const auto earlier = [](const Record& a, const Record& b) {
    if (a.session != b.session) return a.session < b.session;
    if (a.time != b.time) return a.time < b.time;
    return a.row_and_item < b.row_and_item;
  };
  if (std::is_sorted(records.begin(), records.end(), earlier)) return;
  const auto [low, high] =
      std::minmax_element(records.begin(), records.end(),
                          [](const Record& a, const Record& b) { return a.session < b.session; });
  const auto first = static_cast<std::uint64_t>(low->session);
  const std::uint64_t span = static_cast<std::uint64_t>(high->session) - first;
  const std::uint64_t buckets = records.size() / kBucket + 1;
  if (buckets == 1) {  // The width of one bucket could be 2^64.
    std::sort(records.begin(), records.end(), earlier);
    return;
  }
  const std::uint64_t width = span / buckets + 1;
  std::vector<std::uint32_t> bucket(records.size());
  std::vector<std::size_t> start(buckets + 1, 0);
  for (std::size_t i = 0; i < records.size(); ++i) {
    bucket[i] = static_cast<std::uint32_t>(
        (static_cast<std::uint64_t>(records[i].session) - first) / width);
    ++start[bucket[i] + 1];
  }
  for (std::size_t b = 0; b < buckets; ++b) start[b + 1] += start[b];
  Records sorted(records.size());
  std::vector<std::size_t> next(start.begin(), start.end() - 1);
  for (std::size_t i = 0; i < records.size(); ++i) sorted[next[bucket[i]]++] = records[i];
  for (std::size_t b = 0; b < buckets; ++b) {
    std::sort(sorted.begin() + static_cast<std::ptrdiff_t>(start[b]),
              sorted.begin() + static_cast<std::ptrdiff_t>(start[b + 1]), earlier);
  }
  records = std::move(sorted);
}

EventPart EventPartitions::part_of(const Records& records) {
  EventPart part;
  part.session.reserve(records.size());
  part.time.reserve(records.size());
  part.row.reserve(records.size());
  part.item.reserve(records.size());
  for (const Record& record : records) {
    part.session.push_back(record.session);
    part.time.push_back(record.time);
    part.row.push_back(static_cast<std::int64_t>(record.row_and_item >> kItemBits));
    part.item.push_back(
        static_cast<std::int32_t>(record.row_and_item & ((std::uint64_t{1} << kItemBits) - 1)));
  }
  return part;
}

void EventPartitions::begin_output() {
  output_ = true;
  if (ranges_.empty() && !buffer_.empty()) {
    auto parts = cut(buffer_, quantiles(buffer_, kRanges));
    for (Records& part : parts) waiting_.push_back({"", std::move(part), 0});
  } else if (!ranges_.empty()) {
    spill();
    for (Range& range : ranges_) waiting_.push_back(std::move(range));
  }
  Records().swap(buffer_);
  ranges_.clear();
}

// The first of the waiting ranges, sorted. One that is too large is cut, and its ranges wait first.
EventPart EventPartitions::load_first() {
  Range range = std::move(waiting_.front());
  waiting_.pop_front();
  while (!range.file.empty() && range.size > part_limit_) {
    File file = open(range.file, "rb");
    std::vector<std::int64_t> bounds;
    std::vector<Range> ranges;
    Records block;
    // Blocks from all over the file: its sessions may ascend with the rows.
    const auto rows = static_cast<std::int64_t>(kSample / 64);
    for (std::int64_t k = 0; k < 64; ++k) {
      const std::int64_t at = k * (range.size / 64);
      const auto n = static_cast<std::size_t>(std::min(rows, range.size - at));
      const std::size_t before = block.size();
      block.resize(before + n);
      if (std::fseek(file.get(), static_cast<long>(at * static_cast<std::int64_t>(sizeof(Record))),
                     SEEK_SET) != 0 ||
          std::fread(block.data() + before, sizeof(Record), n, file.get()) != n) {
        fail("read", range.file);
      }
    }
    bounds = quantiles(block, static_cast<std::size_t>(std::min<std::int64_t>(
                                  kRanges, 2 * range.size / part_limit_ + 1)));
    if (bounds.empty()) break;  // one session, as far as the sample tells
    ranges = new_ranges(bounds.size() + 1);
    std::rewind(file.get());
    for (std::int64_t left = range.size; left > 0;) {
      const auto n = static_cast<std::size_t>(std::min(left, part_limit_));
      block.resize(n);
      if (std::fread(block.data(), sizeof(Record), n, file.get()) != n) fail("read", range.file);
      append(ranges, cut(block, bounds));
      left -= static_cast<std::int64_t>(n);
    }
    file.reset();
    std::remove(range.file.c_str());
    for (auto it = ranges.rbegin(); it != ranges.rend(); ++it) {
      if (it->size > 0) waiting_.push_front(std::move(*it));
    }
    range = std::move(waiting_.front());
    waiting_.pop_front();
  }
  if (!range.file.empty() && range.size > 0) {
    File file = open(range.file, "rb");
    range.records.resize(static_cast<std::size_t>(range.size));
    if (std::fread(range.records.data(), sizeof(Record), range.records.size(), file.get()) !=
        range.records.size()) {
      fail("read", range.file);
    }
    file.reset();
    std::remove(range.file.c_str());
  }
  sort(range.records);
  return part_of(range.records);
}

void EventPartitions::start_next() {
  while (!waiting_.empty() && waiting_.front().size == 0 && waiting_.front().records.empty()) {
    waiting_.pop_front();
  }
  if (waiting_.empty()) return;
  loading_ = std::async(std::launch::async, [this] { return load_first(); });
}

EventPart EventPartitions::next() {
  if (!output_) {
    begin_output();
    start_next();
  }
  if (!loading_.valid()) return {};
  EventPart part = loading_.get();
  start_next();
  return part;
}

}  // namespace gru4rec_fast
