#include "baselines/session_knn.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace gru4rec_fast {
namespace {

// The match weight 1 - p / 10 of a neighbour whose most recent shared item is the p-th last event.
constexpr std::int64_t kMatchEvents = 10;

// Sums of cosines that are equal in theory, as 1 / sqrt(2) + 1 / sqrt(2) and sqrt(2), differ by
// rounding in units of 2^-40. They are compared, and returned, rounded down to units of 2^-24.
constexpr int kRoundedBits = 16;
constexpr double kRoundedUnit = kCosineUnit / (1 << kRoundedBits);

}  // namespace

SessionKnn::SessionKnn(Span<std::int32_t> items, Span<std::int64_t> offsets,
                       Span<std::int64_t> order, std::int64_t n_items,
                       const SessionKnnOptions& options)
    : index_(items, offsets, order, n_items, options.m),
      options_(options),
      search_(index_, options.similarity, options.k, options.m),
      sums_(n_items),
      item_weight_(static_cast<std::size_t>(n_items), 1.0) {
  if (!options.idf) return;
  for (std::int64_t item = 0; item < n_items; ++item) {
    const std::int64_t support = index_.support(item);
    item_weight_[static_cast<std::size_t>(item)] =
        support == 0
            ? 0.0
            : std::log(static_cast<double>(index_.n_sessions()) / static_cast<double>(support));
  }
}

std::int32_t SessionKnn::checked(const char* name, std::int64_t item) const {
  if (item < 0 || item >= n_items()) {
    throw std::invalid_argument(std::string(name) + " holds " + std::to_string(item) +
                                "; expected item indices 0.." + std::to_string(n_items() - 1));
  }
  return static_cast<std::int32_t>(item);
}

void SessionKnn::sum_scores(const std::int32_t* session, std::int64_t length) {
  std::int64_t events = 0;
  while (events < length && session[events] != -1) checked("sessions", session[events++]);
  sums_.start();
  for (const Neighbour& neighbour : search_.find({session, events})) {
    std::int64_t value = neighbour.similarity;
    if (options_.match_weight) {
      value *= std::max<std::int64_t>(0, kMatchEvents - (events - neighbour.latest + 1));
    }
    if (value == 0) continue;
    for (const std::int32_t item : index_.items_of(neighbour.session)) sums_.add(item, value);
  }
  if (events == 0) return;  // no item has a score
  scale_ = options_.similarity == Similarity::kCosine
               ? 1.0 / (kRoundedUnit * std::sqrt(static_cast<double>(search_.n_distinct())))
               : 1.0 / static_cast<double>(events);
  if (options_.match_weight) scale_ /= static_cast<double>(kMatchEvents);
}

double SessionKnn::score(std::int32_t item) const {
  std::int64_t sum = sums_[item];
  if (options_.similarity == Similarity::kCosine) sum >>= kRoundedBits;
  return static_cast<double>(sum) * item_weight_[static_cast<std::size_t>(item)] * scale_;
}

RankCounts SessionKnn::rank_counts(Span<std::int32_t> sessions, std::int64_t length,
                                   Span<std::int64_t> targets) {
  const std::lock_guard<std::mutex> lock(in_use_);
  RankCounts counts;
  for (std::int64_t row = 0; row < targets.size(); ++row) {
    sum_scores(sessions.data() + row * length, length);
    const double own = score(checked("targets", targets[row]));
    std::int64_t greater = 0, equal = 0, positive = 0;
    for (const std::int32_t item : sums_.items()) {
      const double s = score(item);
      greater += s > own;
      equal += s == own;
      positive += s > 0.0;
    }
    counts.greater.push_back(greater);
    counts.equal.push_back(own > 0.0 ? equal : n_items() - positive);
  }
  return counts;
}

BestItems SessionKnn::top_k(Span<std::int32_t> sessions, std::int64_t length, std::int64_t k) {
  const std::lock_guard<std::mutex> lock(in_use_);
  const auto count = static_cast<std::size_t>(std::min(k, n_items()));
  const std::int64_t rows = length == 0 ? 0 : sessions.size() / length;
  BestItems best;
  std::vector<std::pair<double, std::int32_t>> scored;
  for (std::int64_t row = 0; row < rows; ++row) {
    sum_scores(sessions.data() + row * length, length);
    scored.clear();
    for (const std::int32_t item : sums_.items()) {
      if (const double s = score(item); s > 0.0) scored.emplace_back(-s, item);
    }
    const std::size_t positive = std::min(count, scored.size());
    std::partial_sort(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(positive),
                      scored.end());
    for (std::size_t i = 0; i < positive; ++i) {
      best.scores.push_back(-scored[i].first);
      best.items.push_back(scored[i].second);
    }
    std::int32_t item = 0;
    for (std::size_t i = positive; i < count; ++i, ++item) {
      while (score(item) > 0.0) ++item;
      best.scores.push_back(0.0);
      best.items.push_back(item);
    }
  }
  return best;
}

std::vector<double> SessionKnn::item_scores(Span<std::int32_t> sessions, std::int64_t length,
                                            Span<std::int64_t> items) {
  const std::lock_guard<std::mutex> lock(in_use_);
  const std::int64_t rows = length == 0 ? 0 : sessions.size() / length;
  std::vector<double> scores;
  scores.reserve(static_cast<std::size_t>(rows * items.size()));
  for (std::int64_t row = 0; row < rows; ++row) {
    sum_scores(sessions.data() + row * length, length);
    for (const std::int64_t item : items) scores.push_back(score(checked("items", item)));
  }
  return scores;
}

}  // namespace gru4rec_fast
