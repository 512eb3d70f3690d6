#include "baselines/session_index.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace gru4rec_fast {
namespace {

void check(Span<std::int32_t> items, Span<std::int64_t> offsets, Span<std::int64_t> order,
           std::int64_t n_items, std::int64_t most_recent) {
  if (most_recent < 1) {
    throw std::invalid_argument("most_recent is " + std::to_string(most_recent) +
                                "; expected the number of sessions to keep, at least 1");
  }
  if (n_items < 0 || n_items > INT32_MAX) {
    throw std::invalid_argument("n_items is " + std::to_string(n_items) +
                                "; expected 0..2147483647, the size of the catalogue");
  }
  if (offsets.size() < 1 || offsets.size() - 1 > INT32_MAX || offsets[0] != 0 ||
      offsets[offsets.size() - 1] != items.size() ||
      !std::is_sorted(offsets.begin(), offsets.end())) {
    throw std::invalid_argument("offsets must ascend from 0 to the number of events, " +
                                std::to_string(items.size()) +
                                "; pass those of the same session store");
  }
  for (const std::int32_t item : items) {
    if (item < 0 || item >= n_items) {
      throw std::invalid_argument("items holds " + std::to_string(item) + "; expected 0.." +
                                  std::to_string(n_items - 1) + ", pass the right n_items");
    }
  }
  const std::int64_t n = offsets.size() - 1;
  std::vector<bool> named(static_cast<std::size_t>(n), false);
  for (const std::int64_t session : order) {
    if (session < 0 || session >= n || named[static_cast<std::size_t>(session)]) {
      throw std::invalid_argument("order holds session " + std::to_string(session) +
                                  ", out of range or twice; expected each of 0.." +
                                  std::to_string(n - 1) + " once");
    }
    named[static_cast<std::size_t>(session)] = true;
  }
  if (order.size() != n) {
    throw std::invalid_argument("order names " + std::to_string(order.size()) +
                                " sessions; expected all " + std::to_string(n));
  }
}

}  // namespace

SessionIndex::SessionIndex(Span<std::int32_t> items, Span<std::int64_t> offsets,
                           Span<std::int64_t> order, std::int64_t n_items,
                           std::int64_t most_recent) {
  check(items, offsets, order, n_items, most_recent);
  const auto n = static_cast<std::size_t>(order.size());
  const auto v = static_cast<std::size_t>(n_items);

  item_offsets_.reserve(n + 1);
  item_offsets_.push_back(0);
  items_.reserve(static_cast<std::size_t>(items.size()));
  support_.assign(v, 0);
  for (std::size_t r = 0; r < n; ++r) {
    const std::int64_t session = order[order.size() - 1 - static_cast<std::int64_t>(r)];
    const auto first = static_cast<std::ptrdiff_t>(items_.size());
    items_.insert(items_.end(), items.data() + offsets[session],
                  items.data() + offsets[session + 1]);
    std::sort(items_.begin() + first, items_.end());
    items_.erase(std::unique(items_.begin() + first, items_.end()), items_.end());
    for (auto item = items_.begin() + first; item != items_.end(); ++item) {
      ++support_[static_cast<std::size_t>(*item)];
    }
    item_offsets_.push_back(static_cast<std::int64_t>(items_.size()));
  }

  session_offsets_.assign(v + 1, 0);
  for (std::size_t i = 0; i < v; ++i) {
    session_offsets_[i + 1] = session_offsets_[i] + std::min(support_[i], most_recent);
  }
  sessions_.resize(static_cast<std::size_t>(session_offsets_[v]));
  std::vector<std::int64_t> next(session_offsets_.begin(), session_offsets_.end() - 1);
  for (std::size_t r = 0; r < n; ++r) {
    for (const std::int32_t item : items_of(static_cast<std::int64_t>(r))) {
      const auto i = static_cast<std::size_t>(item);
      if (next[i] < session_offsets_[i + 1]) {
        sessions_[static_cast<std::size_t>(next[i]++)] = static_cast<std::int32_t>(r);
      }
    }
  }
}

}  // namespace gru4rec_fast
