// The cells, by index. A new one is a file that defines its entry, and a line here.
#pragma once

#include "isa/cells/cell.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

extern const CellEntry gru_reset_after, gru_reset_before;

inline constexpr const CellEntry* kCells[] = {&gru_reset_after, &gru_reset_before};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
