// The rank of each row's target among all items, counted tile by tile; the twin of
// kernels/target_rank.py and of `reference.rank_counts`. Memory is O(rows x tile).
#pragma once

#include "kernels.h"
#include "simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

RankCounts rank_counts;  // see kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
