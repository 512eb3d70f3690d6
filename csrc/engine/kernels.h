// The table of the engine's kernels, compiled once for each instruction set and chosen at run time
// by dispatch.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/forward_pass.h"
#include "engine/network.h"
#include "engine/parts.h"
#include "engine/training_step.h"

namespace gru4rec_fast {

// A training step for `network`, which the caller owns. The layers, parameters and supports are
// borrowed.
using MakeTrainingStep = TrainingStep*(const Network& network, const TrainingSettings& settings);

// The forward pass of `network`, likewise.
using MakeForwardPass = ForwardPass*(const Network& network);

// How many items score above each feature row's target, and how many equal, itself included:
// features (R x H), w (V x H), b (V), targets (R) in 0..V-1 -> greater, equal (R). A score's bits
// depend on neither R nor the number of threads; items in bfloat16 score as in float32.
using RankCounts = void(const float* features, std::ptrdiff_t rows, std::ptrdiff_t units,
                        const ItemTable& w, const float* b, std::ptrdiff_t items,
                        const std::int64_t* targets, std::int64_t* greater, std::int64_t* equal,
                        int threads);

// The k <= V best items of each row, best first, of equal ones the lower index first: scores and
// best (R x k).
using TopK = void(const float* features, std::ptrdiff_t rows, std::ptrdiff_t units,
                  const ItemTable& w, const float* b, std::ptrdiff_t items, std::ptrdiff_t k,
                  float* scores, std::int64_t* best, int threads);

// The scores (R x n) of n items of 0..V-1, with the same bits as in the two functions above.
using ItemScores = void(const float* features, std::ptrdiff_t rows, std::ptrdiff_t units,
                        const ItemTable& w, const float* b, const std::int64_t* items,
                        std::ptrdiff_t n, float* scores, int threads);

// Updates the n unique `rows` of a parameter by the gradients g (n x columns), or its first n rows
// where `rows` is null: gradients that come from elsewhere, as the sums over several ranks.
using UpdateRows = void(int optimiser, const OptionValues& options, const Parameter& parameter,
                        const std::int32_t* rows, std::ptrdiff_t n, const float* g);

// Rounds rows (n) of p.half in a step, from values (n x columns), by the random numbers of the
// items (n) of a table.
using RoundRows = void(const Parameter& p, const std::int32_t* rows, const std::int32_t* items,
                       std::ptrdiff_t n, const float* values, std::uint64_t seed,
                       std::uint64_t step, int table);

// out[i] = f(x[i]) by the vectorised mathematics; for tests.
enum class Function {
  kExponential,
  kLogistic,
  kTanh,
  kLogarithm,
  kReciprocalRoot,
  kLogOnePlus,
  kExpMinusOne,
};
using Evaluate = void(Function function, const float* x, float* out, std::ptrdiff_t n);

// loss(i), cell(i) and optimiser(i) are the parts by index, equal for every instruction set. They
// return null when i is past the last entry.
struct Kernels {
  const char* name;
  const LossKind* (*loss)(int index);
  const ActivationKind* (*activation)(int index);
  const CellKind* (*cell)(int index);
  const OptimiserKind* (*optimiser)(int index);
  MakeTrainingStep* make_training_step;
  MakeForwardPass* make_forward_pass;
  RankCounts* rank_counts;
  TopK* top_k;
  ItemScores* item_scores;
  UpdateRows* update_rows;
  RoundRows* round_rows;
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
