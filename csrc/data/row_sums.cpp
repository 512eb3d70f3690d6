#include "data/row_sums.h"

#include <algorithm>

#include "data/prefetch.h"

namespace gru4rec_fast {
namespace {

// Another core has just written the row, so each of its lines is a cache miss, which the hardware
// prefetcher does not expect.
template <class T>
void prefetch_row(const T* row, std::ptrdiff_t columns) {
  constexpr std::ptrdiff_t kLine = 64 / sizeof(T);
  for (std::ptrdiff_t j = 0; j < columns; j += kLine) GRU4REC_FAST_PREFETCH(row + j);
}

template <class T>
void add(T* total, const T* part, std::ptrdiff_t columns) {
  for (std::ptrdiff_t j = 0; j < columns; ++j) total[j] += part[j];
}

}  // namespace

template <class T>
void copy_rows(T* to, const std::int64_t* to_rows, const T* from, const std::int64_t* from_rows,
               std::ptrdiff_t n, std::ptrdiff_t columns) {
  for (std::ptrdiff_t k = 0; k < n; ++k) {
    if (k + 1 < n) prefetch_row(from + from_rows[k + 1] * columns, columns);
    std::copy_n(from + from_rows[k] * columns, columns, to + to_rows[k] * columns);
  }
}

template <class T>
void sum_rows(T* total, const T* const* parts, std::ptrdiff_t n_parts, const std::int64_t* rows,
              std::ptrdiff_t n, std::ptrdiff_t columns) {
  const auto first = [&](std::ptrdiff_t k) { return (rows == nullptr ? k : rows[k]) * columns; };
  for (std::ptrdiff_t k = 0; k < n; ++k) {
    for (std::ptrdiff_t p = 0; p < n_parts && k + 1 < n; ++p) {
      prefetch_row(parts[p] + first(k + 1), columns);
    }
    T* sum = total + k * columns;
    std::copy_n(parts[0] + first(k), columns, sum);
    for (std::ptrdiff_t p = 1; p < n_parts; ++p) add(sum, parts[p] + first(k), columns);
  }
}

#define GRU4REC_FAST_ROW_SUMS(T)                                                                   \
  template void copy_rows(T*, const std::int64_t*, const T*, const std::int64_t*, std::ptrdiff_t,  \
                          std::ptrdiff_t);                                                         \
  template void sum_rows(T*, const T* const*, std::ptrdiff_t, const std::int64_t*, std::ptrdiff_t, \
                         std::ptrdiff_t);
GRU4REC_FAST_ROW_SUMS(float)
GRU4REC_FAST_ROW_SUMS(double)
#undef GRU4REC_FAST_ROW_SUMS

}  // namespace gru4rec_fast
