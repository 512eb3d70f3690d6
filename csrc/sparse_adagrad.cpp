#include "sparse_adagrad.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

void sparse_adagrad(const Parameter& table, const std::int64_t* rows, Index n, const float* g,
                    Rates rates) {
  constexpr Index kAhead = 4;  // rows on their way from memory while one is updated
  for (Index i = 0; i < n; ++i) {
    if (rows != nullptr && i + kAhead < n) prefetch_row(table, rows[i + kAhead]);
    adagrad_row(rates, table, rows != nullptr ? rows[i] : i, g + i * table.columns);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
