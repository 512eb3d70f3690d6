// The tile registers of AMX: a tile holds 16 rows of 64 bytes, and one instruction multiplies two
// of them. `emulated_amx` has the instructions written in C++, for tests on any processor.
#pragma once

#include "isa/simd.h"

#if defined(__AMX_TILE__) || defined(GRU4REC_FAST_EMULATED_AMX)
#define GRU4REC_FAST_TILES

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr Index kTileSize = 16;   // rows, and 32-bit columns
inline constexpr Index kTileDepth = 64;  // bytes of a row

#if defined(GRU4REC_FAST_EMULATED_AMX)

// As Intel's manual describes the instructions, for tiles of full size.
class Tiles {
 public:
  void zero(int tile) { std::memset(tile_[tile], 0, sizeof tile_[tile]); }
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
  // TDPBF16PS: sums[m][n] += a[m][2 k + i] * b[k][2 n + i] over k and i, bfloat16 numbers. The even
  // and the odd products are summed apart. Results below the normal numbers become zero.
  void multiply_add_bf16(int sums, int a, int b) {
    for (Index m = 0; m < kTileSize; ++m) {
      float even[kTileSize] = {}, odd[kTileSize] = {}, total[kTileSize];
      for (Index k = 0; k < kTileSize; ++k) {
        const std::uint32_t left = word(tile_[a][m] + 4 * k);
        const float left_even = lower(left), left_odd = upper(left);
        for (Index n = 0; n < kTileSize; ++n) {
          const std::uint32_t right = word(tile_[b][k] + 4 * n);
          even[n] = normal(even[n] + left_even * lower(right));
          odd[n] = normal(odd[n] + left_odd * upper(right));
        }
      }
      std::memcpy(total, tile_[sums][m], sizeof total);
      for (Index n = 0; n < kTileSize; ++n) total[n] = normal(total[n] + normal(even[n] + odd[n]));
      std::memcpy(tile_[sums][m], total, sizeof total);
    }
  }

 private:
  static std::uint32_t word(const std::uint8_t* from) {
    std::uint32_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
  }
  // The product of two of them is a float without rounding.
  static float as_float(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
  static float lower(std::uint32_t pair) { return as_float(pair << 16); }
  static float upper(std::uint32_t pair) { return as_float(pair & 0xFFFF0000u); }
  static float normal(float x) { return x > -0x1p-126f && x < 0x1p-126f ? 0.0f : x; }

  std::uint8_t tile_[8][kTileSize][kTileDepth] = {};
};

// `tile` must be a literal.
#define GRU4REC_FAST_TILE_ZERO(tile) tiles.zero(tile)
#define GRU4REC_FAST_TILE_LOAD(tile, from, stride) tiles.load(tile, from, stride)
#define GRU4REC_FAST_TILE_STORE(tile, to, stride) tiles.store(tile, to, stride)
#define GRU4REC_FAST_TILE_MULTIPLY_ADD(sums, a, b) tiles.multiply_add(sums, a, b)
#define GRU4REC_FAST_TILE_MULTIPLY_ADD_BF16(sums, a, b) tiles.multiply_add_bf16(sums, a, b)

#else

// A thread's tile registers, all of full size, from the constructor to the destructor.
//
// GCC 12 isn't told what memory its intrinsics read, and could leave out the writes before them, or
// write later. So an empty `asm` that may use all memory stands before each of them.
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
    asm volatile("" : : "r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

#define GRU4REC_FAST_TILE_ZERO(tile) _tile_zero(tile)
#define GRU4REC_FAST_TILE_LOAD(tile, from, stride) \
  do {                                             \
    asm volatile("" : : : "memory");               \
    _tile_loadd(tile, from, stride);               \
  } while (false)
#define GRU4REC_FAST_TILE_STORE(tile, to, stride) _tile_stored(tile, to, stride)
#define GRU4REC_FAST_TILE_MULTIPLY_ADD(sums, a, b) _tile_dpbusd(sums, a, b)
#define GRU4REC_FAST_TILE_MULTIPLY_ADD_BF16(sums, a, b) _tile_dpbf16ps(sums, a, b)

#endif

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA

#endif
