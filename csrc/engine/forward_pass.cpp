#include "engine/forward_pass.h"

namespace gru4rec_fast {

// Defined here, so that no kernel object holds a copy of its own: see csrc/isa/README.md.
ForwardPass::ForwardPass() = default;
ForwardPass::~ForwardPass() = default;

}  // namespace gru4rec_fast
