#include "baselines/neighbour_search.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace gru4rec_fast {
namespace {

std::size_t at_least_one(const char* name, std::int64_t value) {
  if (value < 1) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) +
                                "; expected a number of sessions, at least 1");
  }
  return static_cast<std::size_t>(value);
}

bool more_recent(const Neighbour& a, const Neighbour& b) {
  return a.session < b.session;
}

bool more_similar(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : more_recent(a, b);
}

// Keeps the first `count` elements of the given order.
template <class Less>
void keep_first(std::vector<Neighbour>& candidates, std::size_t count, Less less) {
  if (candidates.size() <= count) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count),
                   candidates.end(), less);
  candidates.resize(count);
}

}  // namespace

NeighbourSearch::NeighbourSearch(const SessionIndex& index, Similarity similarity, std::int64_t k,
                                 std::int64_t m)
    : index_(index),
      similarity_(similarity),
      k_(at_least_one("k", k)),
      m_(at_least_one("m", m)),
      slots_(static_cast<std::size_t>(index.n_sessions())),
      seen_(static_cast<std::size_t>(index.n_items()), 0) {}

void NeighbourSearch::next_version() {
  if (++version_ != 0) return;
  std::fill(slots_.begin(), slots_.end(), Slot{});
  std::fill(seen_.begin(), seen_.end(), 0);
  version_ = 1;
}

const std::vector<Neighbour>& NeighbourSearch::find(Span<std::int32_t> newest_first) {
  next_version();
  candidates_.clear();
  n_distinct_ = 0;
  for (std::int64_t e = 0; e < newest_first.size(); ++e) {
    const std::int32_t item = newest_first[e];
    if (seen_[static_cast<std::size_t>(item)] == version_) continue;
    seen_[static_cast<std::size_t>(item)] = version_;
    ++n_distinct_;
    const auto position = static_cast<std::int32_t>(newest_first.size() - e);
    const std::int64_t weight = similarity_ == Similarity::kDecay ? position : 1;
    for (const std::int32_t session : index_.sessions_of(item)) {
      Slot& slot = slots_[static_cast<std::size_t>(session)];
      if (slot.version != version_) {
        slot = {version_, static_cast<std::uint32_t>(candidates_.size())};
        candidates_.push_back({session, position, weight});
      } else {
        candidates_[slot.candidate].similarity += weight;
      }
    }
  }
  keep_first(candidates_, m_, more_recent);
  if (similarity_ == Similarity::kCosine) {
    for (Neighbour& candidate : candidates_) {
      // Equal fractions divide to equal doubles, so that equal cosines stay equal.
      const auto shared = static_cast<double>(candidate.similarity);
      const auto size = static_cast<double>(index_.items_of(candidate.session).size());
      candidate.similarity = std::llround(std::sqrt(shared * shared / size) * kCosineUnit);
    }
  }
  keep_first(candidates_, k_, more_similar);
  return candidates_;
}

}  // namespace gru4rec_fast
