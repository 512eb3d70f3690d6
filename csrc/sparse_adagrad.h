// Adagrad with momentum (spec section 6), on a row at a time:
//
//   a += g^2;   m = mu m - eta g / sqrt(a + eps);   theta += m
//
// The twin of kernels/sparse_adagrad.py. A row's gradient comes in summed over its occurrences.
#pragma once

#include "training_step.h"
#include "vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr float kAdagradEpsilon = 1e-6f;

struct Rates {
  float learning_rate;
  float momentum;
};

inline Vec adagrad_vec(Rates rates, Vec g, Vec& a, Vec& m) {
  a += g * g;
  m = rates.momentum * m - (rates.learning_rate * g) * reciprocal_root(a + kAdagradEpsilon);
  return m;
}

// Updates the n numbers of theta and a, and of m unless it is null, by their gradients g.
inline void adagrad_row(Rates rates, Index n, float* theta, float* a, float* m, const float* g) {
  Index k = 0;
  for (; k + kWidth <= n; k += kWidth) {
    Vec a_k = load(a + k);
    Vec m_k = m != nullptr ? load(m + k) : Vec{};
    store(theta + k, load(theta + k) + adagrad_vec(rates, load(g + k), a_k, m_k));
    store(a + k, a_k);
    if (m != nullptr) store(m + k, m_k);
  }
  if (k == n) return;
  const Index rest = n - k;
  Vec a_k = load_first(a + k, rest);
  Vec m_k = m != nullptr ? load_first(m + k, rest) : Vec{};
  const Vec update = adagrad_vec(rates, load_first(g + k, rest), a_k, m_k);
  store_first(theta + k, load_first(theta + k, rest) + update, rest);
  store_first(a + k, a_k, rest);
  if (m != nullptr) store_first(m + k, m_k, rest);
}

inline void adagrad_row(Rates rates, const Parameter& p, Index row, const float* g) {
  const Index at = row * p.state_stride;
  float* m = p.momentum != nullptr ? p.momentum + at : nullptr;
  adagrad_row(rates, p.columns, p.value + row * p.columns, p.accumulator + at, m, g);
}

// Inlined by force, since GCC 12 takes a function that only prefetches for one without effect and
// drops the call.
__attribute__((always_inline)) inline void prefetch(const float* row, Index columns) {
  for (Index k = 0; k < columns; k += 16) __builtin_prefetch(row + k);
  __builtin_prefetch(row + columns - 1);
}

// Brings a row of a parameter and its Adagrad state towards the cache.
__attribute__((always_inline)) inline void prefetch_row(const Parameter& p, Index row) {
  const Index at = row * p.state_stride;
  prefetch(p.value + row * p.columns, p.columns);
  prefetch(p.accumulator + at, p.columns);
  if (p.momentum != nullptr) prefetch(p.momentum + at, p.columns);
}

// Updates the n unique `rows` of a table by their gradients g (n x columns), or row i by gradient
// i where `rows` is null.
void sparse_adagrad(const Parameter& table, const std::int64_t* rows, Index n, const float* g,
                    Rates rates);

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
