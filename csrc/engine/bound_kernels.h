// The kernels of ranks and best items by bounds. Beside the instruction sets of kernels.h they
// exist for sets with integer dot products, so they have a table of their own; dispatch.h chooses.
#pragma once

#include "engine/rounded_items.h"

namespace gru4rec_fast {

// w (V x H) and b (V) as floats; rounded.items and .units and its three arrays are given.
using RoundItems = void(const float* w, const float* b, RoundedItems& rounded, int threads);

// Pairs of a row and an item: all, those that the bounds did not place (of blocks without bounds,
// all), and those whose float32 score was computed, which are whole vectors of rows.
struct ScanStatistics {
  std::int64_t pairs = 0, undecided = 0, scored = 0;
};

// What is scanned. `bound_factor` multiplies every bound: 1, and less only in tests, which show
// that a bound that is too small is noticed.
struct BoundedCatalogue {
  const RoundedItems* rounded;
  const float* w;  // (V x H) what `rounded` was made of
  const float* b;  // (V)
  float bound_factor;
};

// As RankCounts and TopK of kernels.h, with the same results to the last bit.
using BoundedRankCounts = void(const BoundedCatalogue& catalogue, const float* features,
                               std::ptrdiff_t rows, const std::int64_t* targets,
                               std::int64_t* greater, std::int64_t* equal,
                               ScanStatistics& statistics, int threads);
using BoundedTopK = void(const BoundedCatalogue& catalogue, const float* features,
                         std::ptrdiff_t rows, std::ptrdiff_t k, float* scores, std::int64_t* best,
                         ScanStatistics& statistics, int threads);

struct BoundKernels {
  const char* name;
  RoundItems* round_items;
  BoundedRankCounts* rank_counts;
  BoundedTopK* top_k;
};

#if defined(__x86_64__)
namespace amx {
extern const BoundKernels bound_kernels;
}
namespace avx512vnni {
extern const BoundKernels bound_kernels;
}
namespace avx512 {
extern const BoundKernels bound_kernels;
}
namespace avxvnni {
extern const BoundKernels bound_kernels;
}
namespace avx2 {
extern const BoundKernels bound_kernels;
}
#endif
namespace baseline {
extern const BoundKernels bound_kernels;
}
namespace emulated_amx {
extern const BoundKernels bound_kernels;
}

}  // namespace gru4rec_fast
