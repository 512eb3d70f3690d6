#include "kernels.h"

#include "score_items.h"
#include "sparse_adagrad.h"
#include "target_rank.h"
#include "top_k.h"
#include "vector_math.h"

#define GRU4REC_FAST_STRING_(x) #x
#define GRU4REC_FAST_STRING(x) GRU4REC_FAST_STRING_(x)

namespace gru4rec_fast::GRU4REC_FAST_ISA {

TrainBlock train_block;  // training_step.cpp

namespace {

void update_rows(const Parameter& parameter, const std::int64_t* rows, Index n, const float* g,
                 float learning_rate, float momentum) {
  sparse_adagrad(parameter, rows, n, g, {learning_rate, momentum});
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
                         train_block,
                         rank_counts,
                         top_k,
                         score_items,
                         update_rows,
                         evaluate};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
