// Rounds the item rows of a catalogue to integers.
#pragma once

#include "engine/bound_kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

RoundItems round_items;  // see bound_kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
