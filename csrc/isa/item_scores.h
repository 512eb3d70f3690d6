// Scores of chosen items. They come from score_tile.h, so an item has the same score here as in
// rank_counts.h and top_k.h.
#pragma once

#include "engine/kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

ItemScores item_scores;  // see kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
