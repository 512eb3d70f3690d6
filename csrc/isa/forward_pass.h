// The forward pass of this instruction set; its interface is engine/forward_pass.h.
#pragma once

#include "engine/kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

MakeForwardPass make_forward_pass;  // see engine/kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
