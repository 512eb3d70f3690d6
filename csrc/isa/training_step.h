// The training step of this instruction set; its interface is engine/training_step.h.
#pragma once

#include "engine/kernels.h"
#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

MakeTrainingStep make_training_step;  // see engine/kernels.h

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
