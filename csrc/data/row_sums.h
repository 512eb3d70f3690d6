// Rows of tables that several processes hold: copied from their owner, and their gradients summed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gru4rec_fast {

// to[to_rows[k]] = from[from_rows[k]] for k < n; rows of `columns` contiguous numbers.
template <class T>
void copy_rows(T* to, const std::int64_t* to_rows, const T* from, const std::int64_t* from_rows,
               std::ptrdiff_t n, std::ptrdiff_t columns);

// total[k] = parts[0][rows[k]] + parts[1][rows[k]] + ..., in that order, for k < n. Without `rows`
// total[k] is the sum of rows k.
template <class T>
void sum_rows(T* total, const T* const* parts, std::ptrdiff_t n_parts, const std::int64_t* rows,
              std::ptrdiff_t n, std::ptrdiff_t columns);

}  // namespace gru4rec_fast
