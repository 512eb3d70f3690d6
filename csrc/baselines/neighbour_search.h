// The k most similar of the m most recent training sessions that share an item with a session.
//
// A session is given as its last events, the most recent first. Position p of an event counts from
// 1, the oldest one; an item that occurs more than once has the position of its last event.
//   kCosine: |s and n| / sqrt(|s| |n|) of the sets of items, without the factor 1 / sqrt(|s|) that
//            all candidates of a session have in common.
//   kDecay:  the sum of p over the shared items, without the common factor 1 / |s|.
// Similarities are integers, the cosine in units of 2^-40: sums of them do not depend on the order
// of summation, and equal fractions give equal cosines. Of equal ones the more recent session wins.
#pragma once

#include <cstdint>
#include <vector>

#include "baselines/session_index.h"

namespace gru4rec_fast {

enum class Similarity { kCosine, kDecay };

constexpr double kCosineUnit = 1099511627776.0;  // 2^40

struct Neighbour {
  std::int32_t session;
  std::int32_t latest;  // position of the most recent item that both sessions share
  std::int64_t similarity;
};

class NeighbourSearch {
 public:
  // Throws std::invalid_argument for k or m below 1.
  NeighbourSearch(const SessionIndex& index, Similarity similarity, std::int64_t k, std::int64_t m);

  // Neighbours in no particular order; valid until the next call.
  const std::vector<Neighbour>& find(Span<std::int32_t> newest_first);
  // Number of distinct items of the session of the last call.
  std::int64_t n_distinct() const { return n_distinct_; }

 private:
  struct Slot {
    std::uint32_t version = 0;
    std::uint32_t candidate = 0;
  };
  void next_version();

  const SessionIndex& index_;
  Similarity similarity_;
  std::size_t k_;
  std::size_t m_;
  std::vector<Slot> slots_;          // (n,) where each session is among the candidates
  std::vector<std::uint32_t> seen_;  // (V,) version in which an item was seen last
  std::uint32_t version_ = 0;
  std::int64_t n_distinct_ = 0;
  std::vector<Neighbour> candidates_;
};

}  // namespace gru4rec_fast
