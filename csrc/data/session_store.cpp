#include "data/session_store.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace gru4rec_fast {
namespace {

std::string at_row(std::int64_t row) {
  return " at row " + std::to_string(row);
}

template <class Time>
void check(Span<std::int64_t> session, Span<std::int32_t> item, Span<Time> time,
           std::int64_t n_sessions) {
  if (session.size() != item.size() || session.size() != time.size()) {
    throw std::invalid_argument("session, item and time have lengths " +
                                std::to_string(session.size()) + ", " +
                                std::to_string(item.size()) + " and " +
                                std::to_string(time.size()) + "; pass one of each per event");
  }
  if (n_sessions < 0 || n_sessions > session.size()) {
    throw std::invalid_argument(
        "n_sessions is " + std::to_string(n_sessions) + "; expected 0 to the number of events, " +
        std::to_string(session.size()) + ", since every session code must occur");
  }
  for (std::int64_t row = 0; row < session.size(); ++row) {
    if (session[row] < 0 || session[row] >= n_sessions) {
      throw std::invalid_argument("session code " + std::to_string(session[row]) + at_row(row) +
                                  " is outside 0.." + std::to_string(n_sessions - 1) +
                                  "; pass codes of the ascending session ids");
    }
    if (item[row] < 0) {
      throw std::invalid_argument("item code " + std::to_string(item[row]) + at_row(row) +
                                  " is negative; expected 0..2147483647, drop unknown items first");
    }
    if constexpr (std::is_floating_point_v<Time>) {
      if (std::isnan(time[row])) {
        throw std::invalid_argument("time is NaN" + at_row(row) +
                                    "; expected a number, fill it in or drop the event");
      }
    }
  }
}

}  // namespace

template <class Time>
void SessionStore::build(Span<std::int64_t> session, Span<std::int32_t> item, Span<Time> time,
                         std::int64_t n_sessions) {
  check(session, item, time, n_sessions);
  const auto n = static_cast<std::size_t>(n_sessions);
  const auto n_events = static_cast<std::size_t>(session.size());

  offsets_.assign(n + 1, 0);
  for (const std::int64_t code : session) ++offsets_[static_cast<std::size_t>(code) + 1];
  for (std::size_t s = 0; s < n; ++s) {
    if (offsets_[s + 1] == 0) {
      throw std::invalid_argument(
          "session code " + std::to_string(s) + " has no event; expected every code of 0.." +
          std::to_string(n_sessions - 1) + " to occur, renumber the codes without gaps");
    }
    offsets_[s + 1] += offsets_[s];
  }

  rows_.resize(n_events);
  std::vector<std::int64_t> next(offsets_.begin(), offsets_.end() - 1);
  for (std::int64_t row = 0; row < session.size(); ++row) {
    rows_[static_cast<std::size_t>(next[static_cast<std::size_t>(session[row])]++)] = row;
  }

  first_appearance_.resize(n);
  const auto earlier = [&](std::int64_t a, std::int64_t b) {
    return time[a] < time[b] || (time[a] == time[b] && a < b);
  };
  for (std::size_t s = 0; s < n; ++s) {
    const auto begin = rows_.begin() + offsets_[s];
    const auto end = rows_.begin() + offsets_[s + 1];
    first_appearance_[s] = *begin;
    if (!std::is_sorted(begin, end, earlier)) std::sort(begin, end, earlier);
  }

  items_.resize(n_events);
  for (std::size_t e = 0; e < n_events; ++e) items_[e] = item[rows_[e]];

  std::vector<Time> start(n);
  for (std::size_t s = 0; s < n; ++s) {
    start[s] = time[rows_[static_cast<std::size_t>(offsets_[s])]];
  }
  time_order_.resize(n);
  std::iota(time_order_.begin(), time_order_.end(), std::int64_t{0});
  std::stable_sort(time_order_.begin(), time_order_.end(), [&](std::int64_t a, std::int64_t b) {
    return start[static_cast<std::size_t>(a)] < start[static_cast<std::size_t>(b)];
  });
}

SessionStore::SessionStore(Span<std::int64_t> session, Span<std::int32_t> item,
                           Span<std::int64_t> time, std::int64_t n_sessions) {
  build(session, item, time, n_sessions);
}

SessionStore::SessionStore(Span<std::int64_t> session, Span<std::int32_t> item, Span<double> time,
                           std::int64_t n_sessions) {
  build(session, item, time, n_sessions);
}

std::vector<std::int64_t> SessionStore::order_by_time() const {
  return time_order_;
}

std::vector<std::int64_t> SessionStore::order_by_appearance() const {
  std::vector<std::int64_t> order(first_appearance_.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return first_appearance_[static_cast<std::size_t>(a)] <
           first_appearance_[static_cast<std::size_t>(b)];
  });
  return order;
}

}  // namespace gru4rec_fast
