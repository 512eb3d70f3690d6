#include "isa/top_k.h"

#include <algorithm>
#include <vector>

#include "engine/thread_pool.h"
#include "isa/score_tile.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kRows = ScoreTile::kRows;

struct Candidate {
  float score;
  std::int64_t item;
};

// The order of the result. As the order of a heap, it puts the worst candidate on top.
struct Better {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.score > b.score || (a.score == b.score && a.item < b.item);
  }
};

// The best k candidates of one row so far: a heap, once there are k.
struct Best {
  std::vector<Candidate> heap;

  void offer(Candidate candidate, std::size_t k) {
    if (heap.size() == k) {
      if (!Better()(candidate, heap.front())) return;
      std::pop_heap(heap.begin(), heap.end(), Better());
      heap.back() = candidate;
    } else {
      heap.push_back(candidate);
    }
    std::push_heap(heap.begin(), heap.end(), Better());
  }
};

// A new candidate with a lower score can't be among the best k. A tile is compared a vector at a
// time; few of its scores pass.
float threshold(const Best& best, std::size_t k) {
  return best.heap.size() == k ? best.heap.front().score : -__builtin_inff();
}

void offer_tile(const float* s, Index first, Index items, Index rows, std::size_t k, Best* best) {
  for (Index i = 0; i < rows; i += kWidth) {
    const Index n = at_most(rows - i, kWidth);
    Vec thresholds = broadcast(__builtin_inff());
    for (Index j = 0; j < n; ++j) thresholds[j] = threshold(best[i + j], k);
    for (Index u = 0; u < items; ++u) {
      const float* scores = s + u * kRows + i;
      const IntVec passed = load(scores) >= thresholds;
      std::int32_t any = 0;
      for (Index j = 0; j < kWidth; ++j) any |= passed[j];
      if (any == 0) continue;
      for (Index j = 0; j < n; ++j) {
        if (passed[j] == 0) continue;
        best[i + j].offer({scores[j], first + u}, k);
        thresholds[j] = threshold(best[i + j], k);
      }
    }
  }
}

}  // namespace

void top_k(const float* features, Index rows, Index units, const float* w, const float* b,
           Index items, Index k, float* scores, std::int64_t* best, int threads) {
  const ScoreTile tile(features, rows, units, w, b);
  const auto n_best = static_cast<std::size_t>(k);
  ThreadPool pool(threads);
  std::vector<Best> best_of(static_cast<std::size_t>(threads * rows));
  for (Best& row : best_of) row.heap.reserve(n_best);
  tile.score_all(items, pool, [&](const float* s, Index first, Index n, Index group, int thread) {
    const Index row = group * kRows;
    offer_tile(s, first, n, at_most(rows - row, kRows), n_best,
               best_of.data() + thread * rows + row);
  });

  for (Index i = 0; i < rows; ++i) {
    Best& row = best_of[static_cast<std::size_t>(i)];
    for (Index thread = 1; thread < threads; ++thread) {
      for (const Candidate& candidate : best_of[static_cast<std::size_t>(thread * rows + i)].heap) {
        row.offer(candidate, n_best);
      }
    }
    std::sort(row.heap.begin(), row.heap.end(), Better());
    for (Index j = 0; j < k; ++j) {
      scores[i * k + j] = row.heap[static_cast<std::size_t>(j)].score;
      best[i * k + j] = row.heap[static_cast<std::size_t>(j)].item;
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
