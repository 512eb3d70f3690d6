// The k best items of each row, selected while the catalogue is scored tile by tile. Memory is
// O(rows x (tile + threads k)).
#pragma once

#include "engine/kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

TopK top_k;  // see kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
