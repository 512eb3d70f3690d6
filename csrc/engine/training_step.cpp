#include "engine/training_step.h"

namespace gru4rec_fast {

// Defined here, so that no kernel object holds a copy of its own: see csrc/isa/README.md.
TrainingStep::TrainingStep() = default;
TrainingStep::~TrainingStep() = default;

}  // namespace gru4rec_fast
