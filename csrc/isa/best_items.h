// The best k items of a row so far.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

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
struct BestItems {
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

  // A new candidate with a lower score can't be among the best k.
  float threshold(std::size_t k) const {
    return heap.size() == k ? heap.front().score : -__builtin_inff();
  }
};

// The best items of `rows` rows, of which each of `threads` threads has kept its own; thread t's of
// row i are best_of[t * rows + i]. scores and best (rows x k).
inline void merge_best(std::vector<BestItems>& best_of, Index rows, Index threads, Index k,
                       float* scores, std::int64_t* best) {
  const auto n_best = static_cast<std::size_t>(k);
  for (Index i = 0; i < rows; ++i) {
    BestItems& row = best_of[static_cast<std::size_t>(i)];
    for (Index thread = 1; thread < threads; ++thread) {
      for (const Candidate& candidate : best_of[static_cast<std::size_t>(thread * rows + i)].heap) {
        row.offer(candidate, n_best);
      }
    }
    if (row.heap.size() < n_best) {  // NaN is above no threshold.
      throw std::overflow_error(
          "a score is NaN: the weights are too large for float32; expected a model whose training "
          "stayed finite");
    }
    std::sort(row.heap.begin(), row.heap.end(), Better());
    for (Index j = 0; j < k; ++j) {
      scores[i * k + j] = row.heap[static_cast<std::size_t>(j)].score;
      best[i * k + j] = row.heap[static_cast<std::size_t>(j)].item;
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
