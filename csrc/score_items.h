// Scores of chosen items, by the arithmetic of score_tile.h: an item has the same score here as
// among all others.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

ScoreItems score_items;  // see kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
