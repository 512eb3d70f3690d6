// The CPU engine's functions, compiled once for each instruction set and chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "training_step.h"

namespace gru4rec_fast {

// How many items score above each feature row's target, and how many equal, itself included:
// features (R x H), w (V x H), b (V), targets (R) in 0..V-1 -> greater, equal (R). A score's bits
// depend on neither R nor the number of threads.
using RankCounts = void(const float* features, std::ptrdiff_t rows, std::ptrdiff_t units,
                        const float* w, const float* b, std::ptrdiff_t items,
                        const std::int64_t* targets, std::int64_t* greater, std::int64_t* equal,
                        int threads);

// The k <= V best items of each row, best first, of equal ones the lower index first: scores and
// best (R x k).
using TopK = void(const float* features, std::ptrdiff_t rows, std::ptrdiff_t units, const float* w,
                  const float* b, std::ptrdiff_t items, std::ptrdiff_t k, float* scores,
                  std::int64_t* best, int threads);

// The scores (R x n) of n items of 0..V-1, the same bits as in the two scans above.
using ScoreItems = void(const float* features, std::ptrdiff_t rows, std::ptrdiff_t units,
                        const float* w, const float* b, const std::int64_t* items, std::ptrdiff_t n,
                        float* scores, int threads);

// Adagrad on the n unique `rows` of a parameter, or on its first n where `rows` is null, by the
// gradients g (n x columns).
using UpdateRows = void(const Parameter& parameter, const std::int64_t* rows, std::ptrdiff_t n,
                        const float* g, float learning_rate, float momentum);

// out[i] = f(x[i]) by the vectorised mathematics, for tests.
enum class Function { kExponential, kLogistic, kTanh, kLogarithm, kReciprocalRoot };
using Evaluate = void(Function function, const float* x, float* out, std::ptrdiff_t n);

struct Kernels {
  const char* name;
  TrainBlock* train_block;
  RankCounts* rank_counts;
  TopK* top_k;
  ScoreItems* score_items;
  UpdateRows* update_rows;
  Evaluate* evaluate;
};

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
#endif
namespace baseline {
extern const Kernels kernels;
}

}  // namespace gru4rec_fast
