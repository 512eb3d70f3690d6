// The k best items of each row, kept while the catalogue is scored tile by tile; the twin of
// kernels/top_k.py and of `reference.top_k`. Memory is O(rows x (tile + threads k)).
#pragma once

#include "kernels.h"
#include "simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

TopK top_k;  // see kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
