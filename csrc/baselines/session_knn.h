// Item scores of a session from its nearest training sessions: SKNN and VSKNN (Ludewig and Jannach
// 2018), VMIS-kNN (Kersbergen et al. 2022). The formulas are in baselines/session_knn.py.
//
// An item is scored if a neighbour contains it; all other items have score 0. Only scored items are
// stored, and a target's rank is counted among them.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "baselines/neighbour_search.h"
#include "baselines/session_index.h"
#include "baselines/sparse_sums.h"

namespace gru4rec_fast {

struct SessionKnnOptions {
  Similarity similarity;
  bool match_weight;  // weight a neighbour by how recent the most recent shared item is
  bool idf;           // weight an item by log(sessions / sessions that contain it)
  std::int64_t k;     // neighbours
  std::int64_t m;     // most recent sessions among which neighbours are searched
};

struct RankCounts {
  std::vector<std::int64_t> greater, equal;
};

struct BestItems {
  std::vector<double> scores;
  std::vector<std::int64_t> items;
};

// Sessions are rows of a matrix (rows, length): the last events, the most recent first, then -1.
// Every function throws std::invalid_argument for an item out of range. Calls from several threads
// wait for each other.
class SessionKnn {
 public:
  SessionKnn(Span<std::int32_t> items, Span<std::int64_t> offsets, Span<std::int64_t> order,
             std::int64_t n_items, const SessionKnnOptions& options);

  std::int64_t n_items() const { return index_.n_items(); }

  // Items scored above each row's target, and equal to it, itself included.
  RankCounts rank_counts(Span<std::int32_t> sessions, std::int64_t length,
                         Span<std::int64_t> targets);
  // The k best items of each row, (rows, k) with k <= V; equal ones by ascending index.
  BestItems top_k(Span<std::int32_t> sessions, std::int64_t length, std::int64_t k);
  // Scores (rows, n) of the given items.
  std::vector<double> item_scores(Span<std::int32_t> sessions, std::int64_t length,
                                  Span<std::int64_t> items);

 private:
  void sum_scores(const std::int32_t* session, std::int64_t length);
  double score(std::int32_t item) const;
  std::int32_t checked(const char* name, std::int64_t item) const;

  SessionIndex index_;
  SessionKnnOptions options_;
  NeighbourSearch search_;
  SparseSums sums_;
  std::vector<double> item_weight_;  // (V,) the idf, or 1
  double scale_ = 1.0;               // factors that all scores of the session have in common
  std::mutex in_use_;
};

}  // namespace gru4rec_fast
