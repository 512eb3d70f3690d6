// Blocks of a product of split factors, whose sums are held in registers: by the tiles of AMX, or
// by VDPBF16PS.
//
// A block has up to kBlockRowTiles x kBlockColumnTiles tiles. Of factors in two parts, x1 + x2 and
// y1 + y2, the small terms x1 y2 and x2 y1 are added before x1 y1.
#pragma once

#include "isa/bf16/split.h"
#include "isa/tiles.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr Index kBlockRowTiles = 2;

// Where a block's tiles are: those of a row of the left factor, and of a column of the right one,
// follow one another, the parts of each side by side.
struct BlockOperands {
  const std::uint16_t* a;
  Index a_stride;  // numbers from one row of tiles to the next
  const std::uint16_t* b;
  Index b_stride;
  Index tiles;  // to be summed over
};

// A block of C: `rows` of it exist.
struct BlockResult {
  float* c;
  Index ldc, rows;
  bool accumulate;
};

#if defined(GRU4REC_FAST_TILES)

inline constexpr Index kBlockColumnTiles = 2;
inline constexpr Index kBlockPasses = 1;  // how often a block reads its right factor

class Blocks {
 public:
  // ROWS x COLUMNS tiles; calls prefetch() for each tile that is summed over.
  template <int ROWS, int COLUMNS, int PARTS, class Prefetch>
  void multiply(const BlockOperands& from, const BlockResult& to, Prefetch& prefetch) {
    constexpr Index kColumns = COLUMNS * kBf16Rows;
    if (to.rows >= ROWS * kBf16Rows) {
      return sum<ROWS, COLUMNS, PARTS>(from, to.c, to.ldc, to.accumulate, prefetch);
    }
    alignas(64) float whole[ROWS * kBf16Rows * kColumns];
    if (to.accumulate) {
      for (Index i = 0; i < to.rows; ++i) {
        std::memcpy(whole + i * kColumns, to.c + i * to.ldc, kColumns * sizeof(float));
      }
      std::memset(
          whole + to.rows * kColumns, 0,
          static_cast<std::size_t>((ROWS * kBf16Rows - to.rows) * kColumns) * sizeof(float));
    }
    sum<ROWS, COLUMNS, PARTS>(from, whole, kColumns, to.accumulate, prefetch);
    for (Index i = 0; i < to.rows; ++i) {
      std::memcpy(to.c + i * to.ldc, whole + i * kColumns, kColumns * sizeof(float));
    }
  }

 private:
  // Sums are the tiles 0 to 3, factors of the left 4 and 5, of the right 6 and 7.
  template <int ROWS, int COLUMNS, int PARTS, class Prefetch>
  void sum(const BlockOperands& from, float* c, Index ldc, bool accumulate, Prefetch& prefetch) {
    const Index bytes = ldc * static_cast<Index>(sizeof(float));
    float* const below = c + kBf16Rows * ldc;
    if (accumulate) {
      GRU4REC_FAST_TILE_LOAD(0, c, bytes);
      if constexpr (COLUMNS == 2) GRU4REC_FAST_TILE_LOAD(1, c + kBf16Rows, bytes);
      if constexpr (ROWS == 2) GRU4REC_FAST_TILE_LOAD(2, below, bytes);
      if constexpr (ROWS * COLUMNS == 4) GRU4REC_FAST_TILE_LOAD(3, below + kBf16Rows, bytes);
    } else {
      GRU4REC_FAST_TILE_ZERO(0);
      if constexpr (COLUMNS == 2) GRU4REC_FAST_TILE_ZERO(1);
      if constexpr (ROWS == 2) GRU4REC_FAST_TILE_ZERO(2);
      if constexpr (ROWS * COLUMNS == 4) GRU4REC_FAST_TILE_ZERO(3);
    }
    const std::uint16_t *a = from.a, *b = from.b;
    for (Index k = 0; k < from.tiles; ++k, a += PARTS * kBf16Tile, b += PARTS * kBf16Tile) {
      prefetch();
      if constexpr (PARTS == 2) {
        load_left<ROWS>(a, from.a_stride);
        load_right<COLUMNS>(b + kBf16Tile, from.b_stride);
        add<ROWS, COLUMNS>();
        load_right<COLUMNS>(b, from.b_stride);
        load_left<ROWS>(a + kBf16Tile, from.a_stride);
        add<ROWS, COLUMNS>();
        load_left<ROWS>(a, from.a_stride);
      } else {
        load_left<ROWS>(a, from.a_stride);
        load_right<COLUMNS>(b, from.b_stride);
      }
      add<ROWS, COLUMNS>();
    }
    GRU4REC_FAST_TILE_STORE(0, c, bytes);
    if constexpr (COLUMNS == 2) GRU4REC_FAST_TILE_STORE(1, c + kBf16Rows, bytes);
    if constexpr (ROWS == 2) GRU4REC_FAST_TILE_STORE(2, below, bytes);
    if constexpr (ROWS * COLUMNS == 4) GRU4REC_FAST_TILE_STORE(3, below + kBf16Rows, bytes);
  }

  template <int ROWS>
  void load_left(const std::uint16_t* a, [[maybe_unused]] Index stride) {
    GRU4REC_FAST_TILE_LOAD(4, a, kTileDepth);
    if constexpr (ROWS == 2) GRU4REC_FAST_TILE_LOAD(5, a + stride, kTileDepth);
  }
  template <int COLUMNS>
  void load_right(const std::uint16_t* b, [[maybe_unused]] Index stride) {
    GRU4REC_FAST_TILE_LOAD(6, b, kTileDepth);
    if constexpr (COLUMNS == 2) GRU4REC_FAST_TILE_LOAD(7, b + stride, kTileDepth);
  }
  template <int ROWS, int COLUMNS>
  void add() {
    GRU4REC_FAST_TILE_MULTIPLY_ADD_BF16(0, 4, 6);
    if constexpr (COLUMNS == 2) GRU4REC_FAST_TILE_MULTIPLY_ADD_BF16(1, 4, 7);
    if constexpr (ROWS == 2) GRU4REC_FAST_TILE_MULTIPLY_ADD_BF16(2, 5, 6);
    if constexpr (ROWS * COLUMNS == 4) GRU4REC_FAST_TILE_MULTIPLY_ADD_BF16(3, 5, 7);
  }

  Tiles tiles;  // the name that the macros use
};

#else

inline constexpr Index kBlockColumnTiles = 3;
inline constexpr int kGroupRows = 8;
inline constexpr Index kBlockPasses = kBlockRowTiles * kBf16Rows / kGroupRows;

class Blocks {
 public:
  // As above; rows are taken in groups whose sums fill the registers.
  template <int ROWS, int COLUMNS, int PARTS, class Prefetch>
  void multiply(const BlockOperands& from, const BlockResult& to, Prefetch& prefetch) {
    for (Index i = 0; i < to.rows && i < ROWS * kBf16Rows; i += kGroupRows) {
      BlockOperands group = from;
      group.a += i / kBf16Rows * from.a_stride + i % kBf16Rows * kBf16Depth;
      sum<COLUMNS, PARTS>(group, {to.c + i * to.ldc, to.ldc, to.rows - i, to.accumulate}, prefetch);
    }
  }

 private:
  template <int COLUMNS, int PARTS, class Prefetch>
  static void sum(const BlockOperands& from, const BlockResult& to, Prefetch& prefetch) {
    const int rows = static_cast<int>(at_most(to.rows, kGroupRows));
    __m512 total[kGroupRows][COLUMNS] = {};
    if (to.accumulate) {
#pragma GCC unroll 8
      for (int i = 0; i < kGroupRows; ++i) {
        if (i >= rows) break;
#pragma GCC unroll 3
        for (int j = 0; j < COLUMNS; ++j) {
          total[i][j] = _mm512_loadu_ps(to.c + i * to.ldc + j * kBf16Rows);
        }
      }
    }
    const std::uint16_t *a = from.a, *b = from.b;
    for (Index k = 0; k < from.tiles; ++k, a += PARTS * kBf16Tile, b += PARTS * kBf16Tile) {
      prefetch();
      for (Index pair = 0; pair < kBf16Rows; ++pair) {
        if constexpr (PARTS == 2) {
          add<COLUMNS>(a + 2 * pair, b + kBf16Tile + pair * kBf16Depth, from.b_stride, total);
          add<COLUMNS>(a + kBf16Tile + 2 * pair, b + pair * kBf16Depth, from.b_stride, total);
        }
        add<COLUMNS>(a + 2 * pair, b + pair * kBf16Depth, from.b_stride, total);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kGroupRows; ++i) {
      if (i >= rows) break;
#pragma GCC unroll 3
      for (int j = 0; j < COLUMNS; ++j) {
        _mm512_storeu_ps(to.c + i * to.ldc + j * kBf16Rows, total[i][j]);
      }
    }
  }

  template <int COLUMNS>
  static void add(const std::uint16_t* a, const std::uint16_t* b, Index b_stride,
                  __m512 (&total)[kGroupRows][COLUMNS]) {
    __m512bh right[COLUMNS];
#pragma GCC unroll 3
    for (int j = 0; j < COLUMNS; ++j) {
      right[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + j * b_stride));
    }
#pragma GCC unroll 8
    for (int i = 0; i < kGroupRows; ++i) {
      std::int32_t pair;
      std::memcpy(&pair, a + i * kBf16Depth, sizeof pair);
      const auto left = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 3
      for (int j = 0; j < COLUMNS; ++j) {
        total[i][j] = _mm512_dpbf16_ps(total[i][j], left, right[j]);
      }
    }
  }
};

#endif

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
