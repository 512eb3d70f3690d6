// C (n x m) = A (n x K) B (K x m): the matrix product in the roles that a training step has.
//
// B and C are buffers of the engine whose rows hold a whole number of vectors: the lanes of a
// mini-batch, or the units of a layer, lie side by side and are computed a vector at a time. A may
// be a parameter in place, also rows of it picked by item; its elements are read one by one and
// broadcast.
//
// Every element of C is the same chain of multiply-adds, whatever the position of the element and
// the number of threads: equal rows and columns give equal scores.
#pragma once

#include "simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Fewer multiply-adds than this are not worth waking another thread for (some 10 microseconds).
inline constexpr Index kWorthSharing = 500000;

// Rows and lengths that keep a tile's share of A in the second and of B in the first cache.
inline constexpr Index kBlockRows = 48;
inline constexpr Index kBlockDepth = 256;

// Floats from a row to the next of a buffer with `columns` columns: whole vectors, and an odd
// number of cache lines for long rows, so that a column does not fall into one cache set.
inline Index row_stride(Index columns) {
  const Index stride = round_up(columns, 16);
  return stride >= 64 && stride % 32 == 0 ? stride + 16 : stride;
}

// How A lies in memory. at(i, k) is A from row i and column k on; (i) is A[i][0] of it, and next()
// goes on to the next column. PickedColumns are the same picked rows of a table as PickedRows, seen
// as the columns of A.

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

// Strips of kTileRows rows, one after the other, each depth x kTileRows; of at(i, k), i is the
// first row of a strip. `depth` is that of the whole product.
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

// Puts column k of `rows` rows into strips of that depth.
inline void pack_column(const float* column, Index rows, Index depth, Index k, float* strips) {
  float* to = strips + k * kTileRows;
  Index i = 0;
  for (; i + kTileRows <= rows; i += kTileRows, to += depth * kTileRows) {
    std::memcpy(to, column + i, kTileRows * sizeof(float));
  }
  for (; i < rows; ++i) *to++ = column[i];
}

// What a full tile does every interval() columns of A: by default nothing.
struct Nothing {
  Index interval() const { return kBlockDepth; }
  void operator()() const {}
};

// One tile of ROWS x VECS vectors held in registers. `accumulate` adds to C.
template <int ROWS, int VECS, class A, class Meanwhile>
inline void product_tile(Index depth, A a, const float* b, Index ldb, float* c, Index ldc,
                         bool accumulate, Meanwhile& meanwhile) {
  Vec sum[ROWS][VECS] = {};
  const Index interval = meanwhile.interval();
  for (Index begin = 0; begin < depth; begin += interval) {
    meanwhile();
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
  // Written twice, since GCC 12 spills all sums if they may begin with C.
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

// Rows of a tile that is VECS vectors wide: as many sums as fit into the registers.
template <int VECS>
inline constexpr int kRowsOf = VECS == 3 ? kTileRows * 2 / 3 : kTileRows;

// The same for the rows that are left over at the end of a block.
template <int VECS, class A, int ROWS = kRowsOf<VECS> - 1>
inline void product_rest(Index rows, Index depth, const A& a, const float* b, Index ldb, float* c,
                         Index ldc, bool accumulate) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS) {
      constexpr Nothing nothing;
      product_tile<ROWS, VECS>(depth, a, b, ldb, c, ldc, accumulate, nothing);
    } else {
      product_rest<VECS, A, ROWS - 1>(rows, depth, a, b, ldb, c, ldc, accumulate);
    }
  }
}

static_assert(kBlockRows % kRowsOf<2> == 0 && kBlockRows % kRowsOf<3> == 0);

template <int VECS, class A, class Meanwhile>
inline void product_panel(Index rows, Index depth, const A& a, const float* b, Index ldb, float* c,
                          Index ldc, bool accumulate, Meanwhile& meanwhile) {
  Index i = 0;
  constexpr int kRows = kRowsOf<VECS>;
  for (; i + kRows <= rows; i += kRows) {
    product_tile<kRows, VECS>(depth, a.at(i, 0), b, ldb, c + i * ldc, ldc, accumulate, meanwhile);
  }
  product_rest<VECS>(rows - i, depth, a.at(i, 0), b, ldb, c + i * ldc, ldc, accumulate);
}

template <int VECS>
struct Width {
  constexpr int operator()() const { return VECS; }
};

// About how many columns of A the full tiles of a product of these sizes go through.
inline Index product_length(Index rows, Index columns, Index depth) {
  return rows / kTileRows * ((columns + 2 * kWidth - 1) / (2 * kWidth)) * depth;
}

// C (rows x columns) = A B, or += with `accumulate`; columns are rounded up to whole vectors.
// `meanwhile()` is called now and then, to ask for memory that is needed later.
template <class A, class Meanwhile = const Nothing>
void product(Index rows, Index columns, Index depth, const A& a, const float* b, Index ldb,
             float* c, Index ldc, bool accumulate, Meanwhile& meanwhile = Meanwhile()) {
  for (Index i = 0; i < rows; i += kBlockRows) {
    const Index n = at_most(rows - i, kBlockRows);
    for (Index k = 0; k < depth; k += kBlockDepth) {
      const Index length = at_most(depth - k, kBlockDepth);
      const bool add = accumulate || k > 0;
      for (Index j = 0; j < columns;) {
        const Index vectors = (columns - j + kWidth - 1) / kWidth;
        const auto panel = [&](auto width) {
          product_panel<width()>(n, length, a.at(i, k), b + k * ldb + j, ldb, c + i * ldc + j, ldc,
                                 add, meanwhile);
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
