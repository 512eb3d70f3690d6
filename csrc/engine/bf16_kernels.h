// Products of float matrices as products of bfloat16 numbers (docs/DESIGN-cpu.md, "Precision").
//
// A float is replaced by the sum of its one or two largest bfloat16 parts. The kernels exist for
// instruction sets that multiply bfloat16 numbers, so they have a table of their own; dispatch.h
// chooses.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gru4rec_fast {

// Numbers of a tile: 16 rows of 32 numbers (left), or 16 pairs of rows of 16 (right).
inline constexpr std::ptrdiff_t kBf16Rows = 16;
inline constexpr std::ptrdiff_t kBf16Depth = 32;
inline constexpr std::ptrdiff_t kBf16Tile = kBf16Rows * kBf16Depth;

// A left factor A (n x K) whose rows, or with `by_columns` whose columns, are lines of adjacent
// floats. Line i begins at first + i * stride, or at pointers[i] + offset.
struct LeftFactor {
  const float* first = nullptr;
  std::ptrdiff_t stride = 0;
  const float* const* pointers = nullptr;
  std::ptrdiff_t offset = 0;
  bool by_columns = false;
};

// Rows of a matrix to prefetch meanwhile, as MatrixRows of isa/row_prefetch.h.
struct RowsAhead {
  const float* matrix = nullptr;
  std::ptrdiff_t columns = 0, stride = 0;
  const std::int32_t* rows = nullptr;
  std::ptrdiff_t begin = 0, end = 0;
};

// Writes tiles first .. end - 1 (of 16 columns each) of a right factor b (depth x columns, rows ldb
// floats apart) in parts. `out` has bf16_numbers() numbers.
using SplitRightFactor = void(int parts, const float* b, std::ptrdiff_t ldb, std::ptrdiff_t depth,
                              std::ptrdiff_t columns, std::ptrdiff_t first, std::ptrdiff_t end,
                              std::uint16_t* out);

// C (rows x columns, rows ldc floats apart) = A B, or += with `accumulate`; columns are rounded up
// to 16. Every element is the same chain of operations, whatever its position.
using MultiplyParts = void(int parts, std::ptrdiff_t rows, std::ptrdiff_t columns,
                           std::ptrdiff_t depth, const LeftFactor& a, const std::uint16_t* b,
                           float* c, std::ptrdiff_t ldc, bool accumulate, const RowsAhead& ahead);

struct Bf16Kernels {
  const char* name;
  SplitRightFactor* split;
  MultiplyParts* multiply;
};

// What multiplies in a training step: float32 where `kernels` is null.
struct Products {
  const Bf16Kernels* kernels = nullptr;
  int parts = 0;
};

// Force-inlined: see csrc/isa/README.md.
__attribute__((always_inline)) inline std::ptrdiff_t bf16_numbers(int parts, std::ptrdiff_t depth,
                                                                  std::ptrdiff_t columns) {
  return parts * ((depth + kBf16Depth - 1) / kBf16Depth) * ((columns + kBf16Rows - 1) / kBf16Rows) *
         kBf16Tile;
}

#if defined(__x86_64__)
namespace amx {
extern const Bf16Kernels bf16_kernels;
}
namespace avx512bf16 {
extern const Bf16Kernels bf16_kernels;
}
#endif
namespace emulated_amx {
extern const Bf16Kernels bf16_kernels;
}

}  // namespace gru4rec_fast
