// The optimisers, by index. A new one is a file that defines its entry, and a line here.
#pragma once

#include "isa/optimisers/optimiser.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

extern const OptimiserEntry adagrad;

inline constexpr const OptimiserEntry* kOptimisers[] = {&adagrad};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
