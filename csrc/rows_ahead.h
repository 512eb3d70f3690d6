// Rows of a table on their way from memory while a product is computed. A core waits for some
// twenty cache lines at a time; asked for more at once it stands still. So a few are asked for
// between any two tiles of a product, as many as memory delivers meanwhile.
#pragma once

#include "sparse_adagrad.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class RowsAhead {
 public:
  // The rows[first .. end - 1] of a matrix with `columns` columns, none if it is null, spread over
  // `calls` calls.
  RowsAhead(const float* matrix, Index columns, const std::int32_t* rows, Index first, Index end,
            Index calls)
      : matrix_(matrix), columns_(columns), rows_(rows), next_(first), end_(end) {
    if (matrix == nullptr) end_ = first;
    per_call_ = static_cast<float>(end_ - first) / static_cast<float>(at_least(calls, 1));
    due_ = static_cast<float>(first) + 0.99f;
  }

  __attribute__((always_inline)) void operator()() {
    due_ += per_call_;
    const Index due = at_most(static_cast<Index>(due_), end_);
    for (; next_ < due; ++next_) prefetch(matrix_ + rows_[next_] * columns_, columns_);
  }

 private:
  const float* matrix_;
  Index columns_;
  const std::int32_t* rows_;
  Index next_, end_;
  float per_call_, due_;
};

// Two of them.
struct RowsAheadOfTwo {
  RowsAhead first, second;
  __attribute__((always_inline)) void operator()() {
    first();
    second();
  }
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
