// The loops of a product of split factors. A strip of 32 rows of A is split and stays in the cache
// while it meets all columns of B.
#include "isa/bf16/blocks.h"
#include "isa/row_prefetch.h"

#define GRU4REC_FAST_STRING_(x) #x
#define GRU4REC_FAST_STRING(x) GRU4REC_FAST_STRING_(x)

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kStripRows = kBlockRowTiles * kBf16Rows;
constexpr Index kStripTiles = 8;  // tiles of depth; a deeper product goes on from C
constexpr Index kStripDepth = kStripTiles * kBf16Depth;

// Prefetches rows evenly over so many calls.
class SpreadPrefetch {
 public:
  SpreadPrefetch(const RowsAhead& ahead, Index calls)
      : prefetch_({ahead.matrix, ahead.columns, ahead.stride, {ahead.rows, ahead.begin, ahead.end}},
                  calls) {
    const Index lines = (ahead.end - ahead.begin) * (ahead.columns / 16 + 1);
    at_a_time_ = (lines + calls - 1) / at_least(calls, 1);
  }

  __attribute__((always_inline)) void operator()() {
    for (Index i = 0; i < at_a_time_; ++i) prefetch_();
  }

 private:
  RowPrefetch prefetch_;
  Index at_a_time_;
};

template <int ROWS, int PARTS>
void multiply_columns(Blocks& blocks, BlockOperands from, BlockResult to, Index column_tiles,
                      SpreadPrefetch& prefetch) {
  while (column_tiles > 0) {
    // Of four tiles of columns two and two: a single one is slow.
    const Index most = column_tiles == 4 ? 2 : kBlockColumnTiles;
    const Index n = at_most(column_tiles, most);
    if (n == 1) {
      blocks.multiply<ROWS, 1, PARTS>(from, to, prefetch);
    } else if (n == 2) {
      blocks.multiply<ROWS, 2, PARTS>(from, to, prefetch);
    } else if constexpr (kBlockColumnTiles == 3) {
      blocks.multiply<ROWS, 3, PARTS>(from, to, prefetch);
    }
    from.b += n * from.b_stride;
    to.c += n * kBf16Rows;
    column_tiles -= n;
  }
}

template <int PARTS>
void multiply_parts(Index rows, Index columns, Index depth, const LeftFactor& a,
                    const std::uint16_t* b, float* c, Index ldc, bool accumulate,
                    const RowsAhead& ahead) {
  const Index column_tiles = (columns + kBf16Rows - 1) / kBf16Rows;
  const Index depth_tiles = (depth + kBf16Depth - 1) / kBf16Depth;
  const Index strips = (rows + kStripRows - 1) / kStripRows;
  const Index blocks_wide = (column_tiles + kBlockColumnTiles - 1) / kBlockColumnTiles;
  SpreadPrefetch prefetch(ahead, strips * depth_tiles * blocks_wide * kBlockPasses);
  Blocks blocks;
  alignas(64) std::uint16_t strip[kBlockRowTiles * kStripTiles * PARTS * kBf16Tile];
  for (Index i = 0; i < rows; i += kStripRows) {
    const Index n = at_most(rows - i, kStripRows);
    for (Index k = 0; k < depth; k += kStripDepth) {
      const Index length = at_most(depth - k, kStripDepth);
      const Index tiles = (length + kBf16Depth - 1) / kBf16Depth;
      if (a.by_columns) {
        split_columns<PARTS>(a, i, n, k, length, tiles, strip);
      } else {
        split_rows<PARTS>(a, i, n, k, length, tiles, strip);
      }
      const BlockOperands from = {strip, tiles * PARTS * kBf16Tile,
                                  b + k / kBf16Depth * PARTS * kBf16Tile,
                                  depth_tiles * PARTS * kBf16Tile, tiles};
      const BlockResult to = {c + i * ldc, ldc, n, accumulate || k > 0};
      if (n > kBf16Rows) {
        multiply_columns<2, PARTS>(blocks, from, to, column_tiles, prefetch);
      } else {
        multiply_columns<1, PARTS>(blocks, from, to, column_tiles, prefetch);
      }
    }
  }
}

void split_factor(int parts, const float* b, Index ldb, Index depth, Index columns, Index first,
                  Index end, std::uint16_t* out) {
  if (parts == 1) {
    split_right<1>(b, ldb, depth, columns, first, end, out);
  } else {
    split_right<2>(b, ldb, depth, columns, first, end, out);
  }
}

void multiply_factors(int parts, Index rows, Index columns, Index depth, const LeftFactor& a,
                      const std::uint16_t* b, float* c, Index ldc, bool accumulate,
                      const RowsAhead& ahead) {
  if (parts == 1) {
    multiply_parts<1>(rows, columns, depth, a, b, c, ldc, accumulate, ahead);
  } else {
    multiply_parts<2>(rows, columns, depth, a, b, c, ldc, accumulate, ahead);
  }
}

}  // namespace

const Bf16Kernels bf16_kernels = {GRU4REC_FAST_STRING(GRU4REC_FAST_ISA), split_factor,
                                  multiply_factors};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
