// An optimiser that treats every element of a parameter alike, made from a Part:
//
//   struct Part {
//     static constexpr int kTables;          // state tables
//     explicit Part(const OptionValues& options);
//     // Returns the new values, and leaves the new state in state[0 .. kTables - 1].
//     Vec update(Vec theta, Vec g, Vec* state) const;
//   };
#pragma once

#include "isa/optimisers/optimiser.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

template <class Part>
class ElementwiseOptimiser final : public Optimiser {
 public:
  explicit ElementwiseOptimiser(const OptionValues& options) : part_(options) {}

  void update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
              RowOrigin) const override {
    if (p.columns == 1) {
      update_elements(p, rows, g, g_stride);
      return;
    }
    // Copies, which the compiler keeps in registers: a store to a row might change the originals.
    const Part part = part_;
    const RowList list = rows;
    const Index columns = p.columns;
    float* const value = p.value;
    StateTable tables[kTables];
    for (int k = 0; k < kTables; ++k) tables[k] = p.state[k];
    for (Index i = 0; i < list.size(); ++i) {
      const Index row = list[i];
      float* state[kTables];
      for (int k = 0; k < kTables; ++k) state[k] = tables[k].first + row * tables[k].stride;
      update_vectors(part, columns, value + row * columns, state, g + i * g_stride);
    }
  }

 private:
  static constexpr int kTables = Part::kTables;

  // Updates n adjacent numbers.
  static void update_vectors(const Part& part, Index n, float* theta,
                             float* const (&state)[kTables], const float* g) {
    Index k = 0;
    Vec v[kTables];
    for (; k + kWidth <= n; k += kWidth) {
      for (int t = 0; t < kTables; ++t) v[t] = load(state[t] + k);
      store(theta + k, part.update(load(theta + k), load(g + k), v));
      for (int t = 0; t < kTables; ++t) store(state[t] + k, v[t]);
    }
    if (k == n) return;
    const Index rest = n - k;
    for (int t = 0; t < kTables; ++t) v[t] = load_first(state[t] + k, rest);
    store_first(theta + k, part.update(load_first(theta + k, rest), load_first(g + k, rest), v),
                rest);
    for (int t = 0; t < kTables; ++t) store_first(state[t] + k, v[t], rest);
  }

  // Updates chosen elements of a vector: gathers them, updates whole vectors, and scatters them.
  void update_elements(const Parameter& p, const RowList& rows, const float* g,
                       Index g_stride) const {
    constexpr Index kChunk = 96;
    float theta[kChunk], gradient[kChunk], state[kTables][kChunk];
    float* tables[kTables];
    for (int t = 0; t < kTables; ++t) tables[t] = state[t];
    for (Index begin = 0; begin < rows.size(); begin += kChunk) {
      const Index n = at_most(rows.size() - begin, kChunk);
      for (Index i = 0; i < n; ++i) {
        const Index row = rows[begin + i];
        theta[i] = p.value[row];
        gradient[i] = g[(begin + i) * g_stride];
        for (int t = 0; t < kTables; ++t) {
          state[t][i] = p.state[t].first[row * p.state[t].stride];
        }
      }
      update_vectors(part_, n, theta, tables, gradient);
      for (Index i = 0; i < n; ++i) {
        const Index row = rows[begin + i];
        p.value[row] = theta[i];
        for (int t = 0; t < kTables; ++t) {
          p.state[t].first[row * p.state[t].stride] = state[t][i];
        }
      }
    }
  }

  Part part_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
