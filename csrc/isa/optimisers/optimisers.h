// The optimisers, by index. A new one is a file that defines its entry, and a line here.
#pragma once

#include "isa/optimisers/optimiser.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

extern const OptimiserEntry sgd, adagrad, adagrad_rowwise, rmsprop, adadelta, adam, gradient;

inline constexpr const OptimiserEntry* kOptimisers[] = {
    &sgd, &adagrad, &adagrad_rowwise, &rmsprop, &adadelta, &adam, &gradient};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
