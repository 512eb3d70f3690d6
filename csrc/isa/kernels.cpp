#include "engine/kernels.h"

#include "isa/activation.h"
#include "isa/cells/cells.h"
#include "isa/forward_pass.h"
#include "isa/item_scores.h"
#include "isa/losses/losses.h"
#include "isa/optimisers/optimisers.h"
#include "isa/rank_counts.h"
#include "isa/row_rounding.h"
#include "isa/top_k.h"
#include "isa/training_step.h"
#include "isa/vector_math.h"

#define GRU4REC_FAST_STRING_(x) #x
#define GRU4REC_FAST_STRING(x) GRU4REC_FAST_STRING_(x)

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

template <class Entry, int n>
const Entry* entry(const Entry* const (&table)[n], int index) {
  return index >= 0 && index < n ? table[index] : nullptr;
}

const LossKind* loss(int index) {
  const LossEntry* found = entry(kLosses, index);
  return found != nullptr ? &found->kind : nullptr;
}

const CellKind* cell(int index) {
  const CellEntry* found = entry(kCells, index);
  return found != nullptr ? &found->kind : nullptr;
}

const OptimiserKind* optimiser(int index) {
  const OptimiserEntry* found = entry(kOptimisers, index);
  return found != nullptr ? &found->kind : nullptr;
}

void update_rows(int index, const OptionValues& options, const Parameter& parameter,
                 const std::int32_t* rows, Index n, const float* g) {
  kOptimisers[index]->make(options)->update(parameter, {rows, 0, n}, g, parameter.columns,
                                            RowOrigin::kWeights);
}

void round_rows(const Parameter& p, const std::int32_t* rows, const std::int32_t* items, Index n,
                const float* values, std::uint64_t seed, std::uint64_t step, int table) {
  Buffer scratch(RowRounding::scratch(p.columns));
  RowRounding(seed, step, table, p.columns)
      .round(p, rows, items, {nullptr, 0, n}, values, scratch.data());
}

Vec apply(Function function, Vec x) {
  switch (function) {
    case Function::kExponential:
      return exponential(x);
    case Function::kLogistic:
      return logistic(x);
    case Function::kTanh:
      return hyperbolic_tangent(x);
    case Function::kLogarithm:
      return logarithm(x);
    case Function::kReciprocalRoot:
      return reciprocal_root(x);
    case Function::kLogOnePlus:
      return log_one_plus(x);
    case Function::kExpMinusOne:
      return exp_minus_one(x);
  }
  return x;
}

void evaluate(Function function, const float* x, float* out, Index n) {
  Index i = 0;
  for (; i + kWidth <= n; i += kWidth) store(out + i, apply(function, load(x + i)));
  if (i < n) store_first(out + i, apply(function, load_first(x + i, n - i)), n - i);
}

}  // namespace

const Kernels kernels = {GRU4REC_FAST_STRING(GRU4REC_FAST_ISA),
                         loss,
                         activation_kind,
                         cell,
                         optimiser,
                         make_training_step,
                         make_forward_pass,
                         rank_counts,
                         top_k,
                         item_scores,
                         update_rows,
                         round_rows,
                         evaluate};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
