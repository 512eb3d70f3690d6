// An optimiser that updates each row of a parameter by itself, made from a Part:
//
//   struct Part {
//     static constexpr int kTables;         // state tables
//     static constexpr int kRowTable;       // which of them has one number a row, or kNoRowTable
//     static constexpr bool kMeanSquare;    // whether begin_row() reads the mean square
//     float learning_rate;
//     explicit Part(const OptionValues& options);
//     // Updates the row's number; returns what update() takes of it. Only with kRowTable.
//     Row begin_row(Vec mean_square, Vec& number) const;
//     // Returns the new values, and leaves the new state in state[0 .. kTables - 1].
//     Vec update(Vec theta, Vec g, Vec* state, const Row& row) const;
//   };
//
// Each element of a vector is a row of its own.
#pragma once

#include "isa/optimisers/optimiser.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr int kNoRowTable = -1;

// What a Part without a row table takes of a row.
struct NoRow {};

template <class Part>
class RowOptimiser final : public Optimiser {
 public:
  explicit RowOptimiser(const OptionValues& options) : part_(options) {}

  void set_learning_rate(float rate) override { part_.learning_rate = rate; }

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
    const bool vector = is_vector(p);
    float* const value = p.value;
    StateTable tables[kArray];
    for (int t = 0; t < kTables; ++t) tables[t] = p.state[t];
    // A step has prefetched the first table and those beside it (state_rows()): not the numbers by
    // row, or where these are the first table, nothing else.
    for (int t = 1; kHasRowTable && t < kTables; ++t) {
      if (kRowTable != 0 && t != kRowTable) continue;
      for (Index i = 0; i < list.size(); ++i) {
        prefetch_floats(tables[t].first + list[i] * tables[t].stride, tables[t].columns);
      }
    }
    for (Index i = 0; i < list.size(); ++i) {
      const Index row = list[i];
      float* state[kArray];
      for (int t = 0; t < kTables; ++t) state[t] = tables[t].first + row * tables[t].stride;
      const float* const row_gradient = g + i * g_stride;
      if (vector) {
        update_vectors<true>(part, columns, value + row * columns, state, row_gradient);
      } else {
        update_vectors<false>(part, columns, value + row * columns, state, row_gradient);
      }
    }
  }

 private:
  static constexpr int kTables = Part::kTables;
  static constexpr int kArray = kTables > 0 ? kTables : 1;
  static constexpr int kRowTable = Part::kRowTable;
  static constexpr bool kHasRowTable = kRowTable != kNoRowTable;

  // Whether p is a vector (1 x n) with a number for each element in the row table.
  static bool is_vector(const Parameter& p) {
    if constexpr (kHasRowTable) return p.rows == 1 && p.state[kRowTable].columns == p.columns;
    return false;
  }

  // Updates n adjacent numbers: elements of a vector, or the row of a matrix.
  template <bool elements>
  static void update_vectors(const Part& part, Index n, float* theta, float* const (&state)[kArray],
                             const float* g) {
    const auto row = begin_row<elements>(part, n, state, g);
    Index k = 0;
    Vec v[kArray];
    for (; k + kWidth <= n; k += kWidth) {
      for (int t = 0; t < kTables; ++t) {
        if (elements || t != kRowTable) v[t] = load(state[t] + k);
      }
      store(theta + k, updated<elements>(part, load(theta + k), load(g + k), v, row));
      for (int t = 0; t < kTables; ++t) {
        if (elements || t != kRowTable) store(state[t] + k, v[t]);
      }
    }
    if (k == n) return;
    const Index rest = n - k;
    for (int t = 0; t < kTables; ++t) {
      if (elements || t != kRowTable) v[t] = load_first(state[t] + k, rest);
    }
    store_first(
        theta + k,
        updated<elements>(part, load_first(theta + k, rest), load_first(g + k, rest), v, row),
        rest);
    for (int t = 0; t < kTables; ++t) {
      if (elements || t != kRowTable) store_first(state[t] + k, v[t], rest);
    }
  }

  // Of the row of a matrix: updates its number.
  template <bool elements>
  static auto begin_row(const Part& part, Index n, float* const (&state)[kArray], const float* g) {
    if constexpr (elements || !kHasRowTable) {
      return NoRow{};
    } else {
      Vec number = broadcast(state[kRowTable][0]), mean{};
      if constexpr (Part::kMeanSquare) {
        mean = broadcast(sum_of_squares(g, n) / static_cast<float>(n));
      }
      const auto row = part.begin_row(mean, number);
      state[kRowTable][0] = number[0];
      return row;
    }
  }

  template <bool elements, class Row>
  static Vec updated(const Part& part, Vec theta, Vec g, Vec (&v)[kArray], const Row& row) {
    if constexpr (elements && kHasRowTable) {
      return part.update(theta, g, v, part.begin_row(g * g, v[kRowTable]));
    } else {
      return part.update(theta, g, v, row);
    }
  }

  // Updates chosen elements of a vector: gathers them, updates whole vectors, and scatters them.
  void update_elements(const Parameter& p, const RowList& rows, const float* g,
                       Index g_stride) const {
    constexpr Index kChunk = 96;
    float theta[kChunk], gradients[kChunk], state[kArray][kChunk];
    float* tables[kArray];
    for (int t = 0; t < kArray; ++t) tables[t] = state[t];
    for (Index begin = 0; begin < rows.size(); begin += kChunk) {
      const Index n = at_most(rows.size() - begin, kChunk);
      for (Index i = 0; i < n; ++i) {
        const Index row = rows[begin + i];
        theta[i] = p.value[row];
        gradients[i] = g[(begin + i) * g_stride];
        for (int t = 0; t < kTables; ++t) {
          state[t][i] = p.state[t].first[row * p.state[t].stride];
        }
      }
      update_vectors<true>(part_, n, theta, tables, gradients);
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
