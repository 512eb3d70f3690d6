#include "data/event_records.h"

#include <algorithm>
#include <future>
#include <utility>

namespace gru4rec_fast {
namespace {

constexpr std::size_t kBucket = 8;  // events of a bucket while they are sorted

// How many of the ascending bounds are at most `session`, without a branch to mispredict.
std::uint16_t range_of(const std::vector<std::int64_t>& bounds, std::int64_t session) {
  const std::int64_t* first = bounds.data();
  std::size_t n = bounds.size();
  while (n > 1) {
    const std::size_t half = n / 2;
    first += half & (std::size_t{0} - static_cast<std::size_t>(first[half - 1] <= session));
    n -= half;
  }
  const bool last = n == 1 && *first <= session;
  return static_cast<std::uint16_t>(first - bounds.data() + static_cast<std::ptrdiff_t>(last));
}

// Calls work(k) for k < n, each on a thread.
template <class Work>
void side_by_side(std::size_t n, const Work& work) {
  std::vector<std::future<void>> others;
  for (std::size_t k = 1; k < n; ++k) {
    others.push_back(std::async(std::launch::async, [&work, k] { work(k); }));
  }
  work(0);
  for (std::future<void>& other : others) other.get();
}

}  // namespace

std::vector<std::int64_t> quantiles(const EventRecords& records, std::size_t parts) {
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

std::vector<std::int64_t> cut(const EventRecords& records, const std::vector<std::int64_t>& bounds,
                              EventRecords& ordered, std::size_t threads) {
  const std::size_t ranges = bounds.size() + 1;
  std::vector<std::uint16_t> range(records.size());
  const auto share = [&](std::size_t k) { return k * records.size() / threads; };
  std::vector<std::vector<std::int64_t>> next(threads, std::vector<std::int64_t>(ranges, 0));
  side_by_side(threads, [&](std::size_t k) {
    for (std::size_t i = share(k); i < share(k + 1); ++i) {
      range[i] = range_of(bounds, records[i].session);
      ++next[k][range[i]];
    }
  });
  std::vector<std::int64_t> starts(ranges + 1, 0);
  std::int64_t place = 0;
  for (std::size_t p = 0; p < ranges; ++p) {
    starts[p] = place;
    for (std::vector<std::int64_t>& count : next) place += std::exchange(count[p], place);
  }
  starts[ranges] = place;
  ordered.resize(records.size());
  side_by_side(threads, [&](std::size_t k) {
    std::int64_t* const to = next[k].data();
    for (std::size_t i = share(k); i < share(k + 1); ++i) {
      ordered[static_cast<std::size_t>(to[range[i]]++)] = records[i];
    }
  });
  return starts;
}

// Scatters the events into buckets of a few each, by an even division of the sessions' range, and
// sorts these. Where sessions are spread unevenly, a bucket is large, and this is just a sort.
void sort_events(EventRecords& records) {
  const auto earlier = [](const EventRecord& a, const EventRecord& b) {
    if (a.session != b.session) return a.session < b.session;
    if (a.time != b.time) return a.time < b.time;
    return a.row_and_item < b.row_and_item;
  };
  if (std::is_sorted(records.begin(), records.end(), earlier)) return;
  const auto [low, high] = std::minmax_element(
      records.begin(), records.end(),
      [](const EventRecord& a, const EventRecord& b) { return a.session < b.session; });
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
  EventRecords sorted(records.size());
  std::vector<std::size_t> next(start.begin(), start.end() - 1);
  for (std::size_t i = 0; i < records.size(); ++i) sorted[next[bucket[i]]++] = records[i];
  for (std::size_t b = 0; b < buckets; ++b) {
    std::sort(sorted.begin() + static_cast<std::ptrdiff_t>(start[b]),
              sorted.begin() + static_cast<std::ptrdiff_t>(start[b + 1]), earlier);
  }
  records = std::move(sorted);
}

EventPart part_of(const EventRecords& records) {
  EventPart part;
  part.session.reserve(records.size());
  part.time.reserve(records.size());
  part.row.reserve(records.size());
  part.item.reserve(records.size());
  for (const EventRecord& record : records) {
    part.session.push_back(record.session);
    part.time.push_back(record.time);
    part.row.push_back(static_cast<std::int64_t>(record.row_and_item >> kItemBits));
    part.item.push_back(
        static_cast<std::int32_t>(record.row_and_item & ((std::uint64_t{1} << kItemBits) - 1)));
  }
  return part;
}

}  // namespace gru4rec_fast
