// The losses, by index. A new one is a file that defines its entry, and a line here.
#pragma once

#include "isa/losses/loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

extern const LossEntry cross_entropy, bpr_max, bpr, top1, top1_max;

inline constexpr const LossEntry* kLosses[] = {&cross_entropy, &bpr_max, &bpr, &top1, &top1_max};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
