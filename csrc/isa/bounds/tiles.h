// The product of integer_product.h by AMX: a tile holds 16 rows of 64 bytes, and one instruction
// multiplies two of them. `emulated_amx` has the instructions written in C++, for tests on any
// processor.
#pragma once

#include "isa/bounds/integer_product.h"

#if defined(__AMX_INT8__) || defined(GRU4REC_FAST_EMULATED_AMX)
#define GRU4REC_FAST_TILES

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr Index kTileSize = 16;   // rows, and 32-bit columns
inline constexpr Index kTileDepth = 64;  // bytes of a row

#if defined(GRU4REC_FAST_EMULATED_AMX)

// As Intel's manual describes the instructions, for tiles of full size.
class Tiles {
 public:
  void load(int tile, const void* from, Index stride) {
    for (Index row = 0; row < kTileSize; ++row) {
      std::memcpy(tile_[tile][row], static_cast<const std::uint8_t*>(from) + row * stride,
                  kTileDepth);
    }
  }
  void store(int tile, void* to, Index stride) const {
    for (Index row = 0; row < kTileSize; ++row) {
      std::memcpy(static_cast<std::uint8_t*>(to) + row * stride, tile_[tile][row], kTileDepth);
    }
  }
  // TDPBUSD: sums[m][n] += a[m][4 k + i] * b[k][4 n + i] over k and i; a unsigned, b signed.
  void multiply_add(int sums, int a, int b) {
    for (Index m = 0; m < kTileSize; ++m) {
      for (Index n = 0; n < kTileSize; ++n) {
        std::int32_t sum;
        std::memcpy(&sum, tile_[sums][m] + 4 * n, sizeof sum);
        for (Index k = 0; k < kTileSize; ++k) {
          for (Index i = 0; i < 4; ++i) {
            sum += tile_[a][m][4 * k + i] * static_cast<std::int8_t>(tile_[b][k][4 * n + i]);
          }
        }
        std::memcpy(tile_[sums][m] + 4 * n, &sum, sizeof sum);
      }
    }
  }

 private:
  std::uint8_t tile_[8][kTileSize][kTileDepth] = {};
};

// `tile` must be a literal.
#define GRU4REC_FAST_TILE_LOAD(tile, from, stride) tiles.load(tile, from, stride)
#define GRU4REC_FAST_TILE_STORE(tile, to, stride) tiles.store(tile, to, stride)
#define GRU4REC_FAST_TILE_MULTIPLY_ADD(sums, a, b) tiles.multiply_add(sums, a, b)

#else

// A thread's tile registers, all of full size, from the constructor to the destructor.
class Tiles {
 public:
  Tiles() {
    struct alignas(64) Configuration {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } configuration;
    static_assert(sizeof(Configuration) == 64);
    for (int tile = 0; tile < 8; ++tile) {
      configuration.row_bytes[tile] = kTileDepth;
      configuration.rows[tile] = kTileSize;
    }
    _tile_loadconfig(&configuration);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

#define GRU4REC_FAST_TILE_LOAD(tile, from, stride) _tile_loadd(tile, from, stride)
#define GRU4REC_FAST_TILE_STORE(tile, to, stride) _tile_stored(tile, to, stride)
#define GRU4REC_FAST_TILE_MULTIPLY_ADD(sums, a, b) _tile_dpbusd(sums, a, b)

#endif

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
