// The matrix product C (n x m) = A (n x K) B (K x m), for the operands that a training step has.
//
// B and C are buffers whose rows hold a whole number of vectors; a row holds the lanes of a
// mini-batch, or the units of a layer. A may be a parameter in place, or rows of it selected by
// item; its elements are read one by one and broadcast.
//
// Every element of C is the same chain of multiply-adds, whatever its position and the number of
// threads: equal rows and columns give equal bits.
#pragma once

#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// A loop of fewer multiply-adds (some 10 microseconds) is not worth waking another thread.
inline constexpr Index kWorthSharing = 500000;

// The blocks of A (kBlockRows x kBlockDepth) stay in the L2 cache, those of B in the L1 cache.
inline constexpr Index kBlockRows = 48;
inline constexpr Index kBlockDepth = 256;

// Floats from one row to the next of a buffer with `columns` columns: whole vectors, and an odd
// number of cache lines for long rows, so that the elements of a column fall into different cache
// sets.
inline Index row_stride(Index columns) {
  const Index stride = round_up(columns, 16);
  return stride >= 64 && stride % 32 == 0 ? stride + 16 : stride;
}

// The layouts of A. at(i, k) is the part of A that begins at row i and column k; operator()(i) is
// its A[i][0]; next() moves on by one column. PickedRows and PickedColumns take pointers to rows of
// a table, as the rows or as the columns of A.

struct Rows {  // A[i][k] = a[i * stride + k]
  const float* a;
  Index stride;
  Rows at(Index i, Index k) const { return {a + i * stride + k, stride}; }
  float operator()(int i) const { return a[i * stride]; }
  void next() { ++a; }
};

struct Columns {  // A[i][k] = a[k * stride + i]
  const float* a;
  Index stride;
  Columns at(Index i, Index k) const { return {a + k * stride + i, stride}; }
  float operator()(int i) const { return a[i]; }
  void next() { a += stride; }
};

struct PickedRows {  // A[i][k] = rows[i][k]
  const float* const* rows;
  Index k = 0;
  PickedRows at(Index i, Index column) const { return {rows + i, k + column}; }
  float operator()(int i) const { return rows[i][k]; }
  void next() { ++k; }
};

struct PickedColumns {  // A[i][k] = rows[k][i]
  const float* const* rows;
  Index first = 0;
  PickedColumns at(Index i, Index k) const { return {rows + k, first + i}; }
  float operator()(int i) const { return (*rows)[first + i]; }
  void next() { ++rows; }
};

// A in strips of kTileRows rows, one after the other; a strip is depth x kTileRows. In at(i, k), i
// must be the first row of a strip. `depth` is that of the whole product.
struct PackedColumns {
  const float* a;
  Index depth;
  PackedColumns at(Index i, Index k) const { return {a + i * depth + k * kTileRows, depth}; }
  float operator()(int i) const { return a[i]; }
  void next() { a += kTileRows; }
};

template <class A>
inline constexpr bool kWholeStrips = false;
template <>
inline constexpr bool kWholeStrips<PackedColumns> = true;

// Writes column k of A, of `rows` rows, into strips of that depth.
inline void pack_column(const float* column, Index rows, Index depth, Index k, float* strips) {
  float* to = strips + k * kTileRows;
  Index i = 0;
  for (; i + kTileRows <= rows; i += kTileRows, to += depth * kTileRows) {
    std::memcpy(to, column + i, kTileRows * sizeof(float));
  }
  for (; i < rows; ++i) *to++ = column[i];
}

// What a full tile does every interval() columns of A, as prefetching: by default nothing.
struct NoPrefetch {
  Index interval() const { return kBlockDepth; }
  void operator()() const {}
};

// One tile of ROWS x VECS vectors held in registers. `accumulate` adds to C.
template <int ROWS, int VECS, class A, class Prefetch>
inline void product_tile(Index depth, A a, const float* b, Index ldb, float* c, Index ldc,
                         bool accumulate, Prefetch& prefetch) {
  Vec sum[ROWS][VECS] = {};
  const Index interval = prefetch.interval();
  for (Index begin = 0; begin < depth; begin += interval) {
    prefetch();
    const float* const end = b + at_most(depth - begin, interval) * ldb;
    for (; b != end; b += ldb) {
      Vec column[VECS];
#pragma GCC unroll 3
      for (int j = 0; j < VECS; ++j) column[j] = load(b + j * kWidth);
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
        const float x = a(i);
#pragma GCC unroll 3
        for (int j = 0; j < VECS; ++j) sum[i][j] += x * column[j];
      }
      a.next();
    }
  }
  // Two loops, because GCC 12 spills all sums if they may start with C.
  if (accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 3
      for (int j = 0; j < VECS; ++j) {
        float* const to = c + i * ldc + j * kWidth;
        store(to, load(to) + sum[i][j]);
      }
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 3
      for (int j = 0; j < VECS; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
    }
  }
}

// Rows of a tile that is VECS vectors wide, so that its sums fill the registers.
template <int VECS>
inline constexpr int kRowsOf = VECS == 3 ? kTileRows * 2 / 3 : kTileRows;

// The tile of the remaining rows at the end of a block.
template <int VECS, class A, int ROWS = kRowsOf<VECS> - 1>
inline void product_rest(Index rows, Index depth, const A& a, const float* b, Index ldb, float* c,
                         Index ldc, bool accumulate) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS) {
      constexpr NoPrefetch none;
      product_tile<ROWS, VECS>(depth, a, b, ldb, c, ldc, accumulate, none);
    } else {
      product_rest<VECS, A, ROWS - 1>(rows, depth, a, b, ldb, c, ldc, accumulate);
    }
  }
}

static_assert(kBlockRows % kRowsOf<2> == 0 && kBlockRows % kRowsOf<3> == 0);

template <int VECS, class A, class Prefetch>
inline void product_panel(Index rows, Index depth, const A& a, const float* b, Index ldb, float* c,
                          Index ldc, bool accumulate, Prefetch& prefetch) {
  Index i = 0;
  constexpr int kRows = kRowsOf<VECS>;
  for (; i + kRows <= rows; i += kRows) {
    product_tile<kRows, VECS>(depth, a.at(i, 0), b, ldb, c + i * ldc, ldc, accumulate, prefetch);
  }
  product_rest<VECS>(rows - i, depth, a.at(i, 0), b, ldb, c + i * ldc, ldc, accumulate);
}

template <int VECS>
struct Width {
  constexpr int operator()() const { return VECS; }
};

// How many columns of A the full tiles of a product of these sizes read.
inline Index product_length(Index rows, Index columns, Index depth, bool whole_strips = false) {
  const Index vectors = (columns + kWidth - 1) / kWidth;
  const Index threes = vectors >= 3 && vectors % 2 == 1 && !whole_strips ? 1 : 0;
  const Index twos = (vectors - 3 * threes + 1) / 2;
  return (rows / kRowsOf<2> * twos + rows / kRowsOf<3> * threes) * depth;
}

// C (rows x columns) = A B, or += with `accumulate`; columns are rounded up to whole vectors.
// Full tiles call prefetch() every prefetch.interval() columns of A.
template <class A, class Prefetch = const NoPrefetch>
void product(Index rows, Index columns, Index depth, const A& a, const float* b, Index ldb,
             float* c, Index ldc, bool accumulate, Prefetch& prefetch = Prefetch()) {
  for (Index i = 0; i < rows; i += kBlockRows) {
    const Index n = at_most(rows - i, kBlockRows);
    for (Index k = 0; k < depth; k += kBlockDepth) {
      const Index length = at_most(depth - k, kBlockDepth);
      const bool add = accumulate || k > 0;
      for (Index j = 0; j < columns;) {
        const Index vectors = (columns - j + kWidth - 1) / kWidth;
        const auto panel = [&](auto width) {
          product_panel<width()>(n, length, a.at(i, k), b + k * ldb + j, ldb, c + i * ldc + j, ldc,
                                 add, prefetch);
          j += width() * kWidth;
        };
        if (vectors == 1) {
          panel(Width<1>());
        } else if (vectors == 3 && !kWholeStrips<A>) {
          panel(Width<3>());
        } else {
          panel(Width<2>());
        }
      }
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
