// The products of a training step, in its precision: float32 by product.h, or by bfloat16 parts.
#pragma once

#include "engine/bf16_kernels.h"
#include "engine/buffer.h"
#include "engine/thread_pool.h"
#include "isa/product.h"
#include "isa/row_prefetch.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Floats of memory that a RightFactor of this size needs; none in float32.
inline Index factor_scratch(const Products& products, Index depth, Index columns) {
  return products.kernels == nullptr ? 0 : bf16_numbers(products.parts, depth, columns) / 2;
}

// The right factor B (depth x columns) of one or several products, split into parts once for all.
class RightFactor {
 public:
  RightFactor() = default;
  // Has memory of its own, for up to depth x columns.
  RightFactor(const Products& products, Index depth, Index columns)
      : products_(products), own_(factor_scratch(products, depth, columns)), split_(own_.data()) {}
  // Has borrowed memory of factor_scratch().
  RightFactor(const Products& products, float* scratch) : products_(products), split_(scratch) {}

  // Takes b, whose rows are `stride` floats apart; in float32 it is borrowed.
  void take(const float* b, Index stride, Index depth, Index columns) {
    borrow(b, stride, depth, columns);
    if (products_.kernels != nullptr) split(0, tiles());
  }
  // The same by several threads.
  void take(const float* b, Index stride, Index depth, Index columns, ThreadPool& pool) {
    borrow(b, stride, depth, columns);
    if (products_.kernels == nullptr) return;
    const bool shared = depth * columns > kWorthSplittingTogether;
    const Index chunks = (tiles() + kChunk - 1) / kChunk;
    pool.run(chunks, shared, [&](Index chunk, int) {
      split(chunk * kChunk, at_most((chunk + 1) * kChunk, tiles()));
    });
  }

  const Products& products() const { return products_; }
  const float* value() const { return b_; }
  Index stride() const { return stride_; }
  const std::uint16_t* parts() const { return reinterpret_cast<const std::uint16_t*>(split_); }

 private:
  static constexpr Index kWorthSplittingTogether = 100000;  // numbers, some 10 microseconds
  static constexpr Index kChunk = 4;                        // tiles of 16 columns

  void borrow(const float* b, Index stride, Index depth, Index columns) {
    b_ = b;
    stride_ = stride;
    depth_ = depth;
    columns_ = columns;
  }
  Index tiles() const { return (columns_ + kBf16Rows - 1) / kBf16Rows; }
  void split(Index first, Index end) {
    products_.kernels->split(products_.parts, b_, stride_, depth_, columns_, first, end,
                             reinterpret_cast<std::uint16_t*>(split_));
  }

  Products products_;
  Buffer own_;
  float* split_ = nullptr;
  const float* b_ = nullptr;
  Index stride_ = 0, depth_ = 0, columns_ = 0;
};

inline LeftFactor left_factor(const Rows& a) {
  return {a.a, a.stride, nullptr, 0, false};
}
inline LeftFactor left_factor(const Columns& a) {
  return {a.a, a.stride, nullptr, 0, true};
}
inline LeftFactor left_factor(const PickedRows& a) {
  return {nullptr, 0, a.rows, a.k, false};
}
inline LeftFactor left_factor(const PickedColumns& a) {
  return {nullptr, 0, a.rows, a.first, true};
}

inline RowsAhead rows_ahead(const NoPrefetch&) {
  return {};
}
inline RowsAhead rows_ahead(const RowPrefetch& prefetch) {
  const MatrixRows& rows = prefetch.rows();
  return {rows.matrix, rows.columns, rows.stride, rows.list.rows, rows.list.begin, rows.list.end};
}

// product() of product.h with a factor that takes its own precision.
template <class A, class Prefetch = const NoPrefetch>
inline void multiply(Index rows, Index columns, Index depth, const A& a, const RightFactor& b,
                     float* c, Index ldc, bool accumulate, Prefetch& prefetch = Prefetch()) {
  const Products& products = b.products();
  if (products.kernels == nullptr) {
    product(rows, columns, depth, a, b.value(), b.stride(), c, ldc, accumulate, prefetch);
  } else {
    products.kernels->multiply(products.parts, rows, columns, depth, left_factor(a), b.parts(), c,
                               ldc, accumulate, rows_ahead(prefetch));
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
