// The cells, by index. A new one is a file that defines its entry, and a line here.
#pragma once

#include "isa/cells/cell.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

extern const CellEntry feed_forward, gru_reset_after, gru_reset_before, lstm, rnn;

inline constexpr const CellEntry* kCells[] = {&gru_reset_after, &gru_reset_before, &lstm, &rnn,
                                              &feed_forward};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
