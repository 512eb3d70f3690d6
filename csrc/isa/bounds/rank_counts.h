// Counts as isa/rank_counts.h, by bounds.
#pragma once

#include "engine/bound_kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

BoundedRankCounts bounded_rank_counts;  // see bound_kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
