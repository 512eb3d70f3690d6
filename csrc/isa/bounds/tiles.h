// The product of integer_product.h by the tiles of AMX.
#pragma once

#include "isa/bounds/integer_product.h"
#include "isa/tiles.h"

#if defined(GRU4REC_FAST_TILES)

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// As integer_product. `depth` is that of the panel, a multiple of kTileDepth; where it is more than
// a row of q, the panel holds zeros. Items are rounded up to a multiple of 16, in q (see
// rounded_bytes) and in d.
inline void tile_product([[maybe_unused]] Tiles& tiles, const std::uint8_t* q, Index stride,
                         Index items, Index depth, const std::int8_t* panel,
                         const std::int32_t* start, std::int32_t* d) {
  constexpr Index kRowBytes = kPanelRows * 4;
  for (Index i = 0; i < items; i += kTileSize) {
    std::int32_t* const sums = d + i * kPanelRows;
    // With a stride of 0 each of the 16 items begins with the same sums.
    GRU4REC_FAST_TILE_LOAD(0, start, 0);
    GRU4REC_FAST_TILE_LOAD(1, start + kTileSize, 0);
    for (Index k = 0; k < depth; k += kTileDepth) {
      const std::int8_t* const features = panel + k * kPanelRows;
      GRU4REC_FAST_TILE_LOAD(2, q + i * stride + k, stride);
      GRU4REC_FAST_TILE_LOAD(3, features, kRowBytes);
      GRU4REC_FAST_TILE_LOAD(4, features + kTileDepth, kRowBytes);
      GRU4REC_FAST_TILE_MULTIPLY_ADD(0, 2, 3);
      GRU4REC_FAST_TILE_MULTIPLY_ADD(1, 2, 4);
    }
    GRU4REC_FAST_TILE_STORE(0, sums, kRowBytes);
    GRU4REC_FAST_TILE_STORE(1, sums + kTileSize, kRowBytes);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA

#endif
