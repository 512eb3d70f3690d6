// Counts the items that score above, and equal to, each row's target, tile by tile (SPEC section
// 8). Memory is O(rows x tile).
#pragma once

#include "engine/kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

RankCounts rank_counts;  // see kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
