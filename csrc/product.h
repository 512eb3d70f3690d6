// C (n x m) = A (n x K) B (K x m): the matrix product in the three roles that a training step has.
//
// B and C are buffers of the engine whose rows hold a whole number of vectors, so nothing is
// packed: the lanes of a mini-batch, or the units of a layer, lie side by side and are computed a
// vector at a time. A may be a parameter in place; it is read element by element and broadcast,
// along its rows (A[i * lda + k]) or along its columns (A[k * lda + i], "transposed").
//
// Every element of C is one chain of multiply-adds in the order k = 0, 1, ..., K - 1, whatever the
// position of the element and the number of threads: equal rows and columns give equal scores.
#pragma once

#include "simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Fewer multiply-adds than this are not worth waking another thread for (some 20 microseconds).
inline constexpr Index kWorthSharing = 1000000;

// Rows and lengths that keep a tile's share of A in the second and of B in the first cache.
inline constexpr Index kBlockRows = 48;
inline constexpr Index kBlockDepth = 256;

// Floats from a row to the next of a buffer with `columns` columns: whole vectors, and an odd
// number of cache lines for long rows, so that a column does not fall into one cache set.
inline Index row_stride(Index columns) {
  const Index stride = round_up(columns, 16);
  return stride >= 64 && stride % 32 == 0 ? stride + 16 : stride;
}

// One tile of ROWS x VECS vectors held in registers. `accumulate` adds to C.
template <int ROWS, int VECS, bool TRANSPOSED>
inline void product_tile(Index depth, const float* a, Index lda, const float* b, Index ldb,
                         float* c, Index ldc, bool accumulate) {
  Vec sum[ROWS][VECS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < VECS; ++j) {
      sum[i][j] = accumulate ? load(c + i * ldc + j * kWidth) : Vec{};
    }
  }
  for (Index k = 0; k < depth; ++k) {
    Vec column[VECS];
#pragma GCC unroll 2
    for (int j = 0; j < VECS; ++j) column[j] = load(b + j * kWidth);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const float x = TRANSPOSED ? a[i] : a[i * lda];
#pragma GCC unroll 2
      for (int j = 0; j < VECS; ++j) sum[i][j] += x * column[j];
    }
    a += TRANSPOSED ? lda : 1;
    b += ldb;
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < VECS; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
  }
}

// The same for the rows that are left over at the end of a block.
template <int VECS, bool TRANSPOSED, int ROWS = kTileRows - 1>
inline void product_rest(Index rows, Index depth, const float* a, Index lda, const float* b,
                         Index ldb, float* c, Index ldc, bool accumulate) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS) {
      product_tile<ROWS, VECS, TRANSPOSED>(depth, a, lda, b, ldb, c, ldc, accumulate);
    } else {
      product_rest<VECS, TRANSPOSED, ROWS - 1>(rows, depth, a, lda, b, ldb, c, ldc, accumulate);
    }
  }
}

template <int VECS, bool TRANSPOSED, class Between>
inline void product_panel(Index rows, Index depth, const float* a, Index lda, const float* b,
                          Index ldb, float* c, Index ldc, bool accumulate, Between& between) {
  const Index row = TRANSPOSED ? 1 : lda;
  for (; rows >= kTileRows; rows -= kTileRows) {
    between();
    product_tile<kTileRows, VECS, TRANSPOSED>(depth, a, lda, b, ldb, c, ldc, accumulate);
    a += kTileRows * row;
    c += kTileRows * ldc;
  }
  product_rest<VECS, TRANSPOSED>(rows, depth, a, lda, b, ldb, c, ldc, accumulate);
}

struct Nothing {
  void operator()() const {}
};

// How often a product of these sizes calls `between`.
inline Index product_tiles(Index rows, Index columns, Index depth) {
  return rows / kTileRows * ((columns + 2 * kWidth - 1) / (2 * kWidth)) *
         ((depth + kBlockDepth - 1) / kBlockDepth);
}

// C (rows x columns) = A B, or += with `accumulate`; columns are rounded up to whole vectors.
// Before each full tile `between()` is called, which may ask for memory that is needed later.
template <bool TRANSPOSED, class Between = const Nothing>
void product(Index rows, Index columns, Index depth, const float* a, Index lda, const float* b,
             Index ldb, float* c, Index ldc, bool accumulate, Between& between = Between()) {
  for (Index i = 0; i < rows; i += kBlockRows) {
    const Index block = at_most(rows - i, kBlockRows);
    for (Index k = 0; k < depth; k += kBlockDepth) {
      const Index length = at_most(depth - k, kBlockDepth);
      const float* a_block = TRANSPOSED ? a + k * lda + i : a + i * lda + k;
      const bool add = accumulate || k > 0;
      Index j = 0;
      for (; j + kWidth < columns; j += 2 * kWidth) {
        product_panel<2, TRANSPOSED>(block, length, a_block, lda, b + k * ldb + j, ldb,
                                     c + i * ldc + j, ldc, add, between);
      }
      if (j < columns) {
        product_panel<1, TRANSPOSED>(block, length, a_block, lda, b + k * ldb + j, ldb,
                                     c + i * ldc + j, ldc, add, between);
      }
    }
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
