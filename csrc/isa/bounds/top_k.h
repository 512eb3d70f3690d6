// The best items as isa/top_k.h, by bounds.
#pragma once

#include "engine/bound_kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

BoundedTopK bounded_top_k;  // see bound_kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
