// The interface of the forward pass alone, without losses and gradients: SPEC section 3 in float32.
// csrc/isa/forward_pass.cpp implements it once for each instruction set.
//
// Letters: R sessions, E events of all of them, F features.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/network.h"

namespace gru4rec_fast {

// The next events of R sessions, one session after the other: session r has
// items[offsets[r]] .. items[offsets[r + 1] - 1].
struct SessionEvents {
  const std::int64_t* items = nullptr;    // (E)
  const std::int64_t* offsets = nullptr;  // (R + 1)
  std::ptrdiff_t sessions = 0;
};

class ForwardPass {
 public:
  virtual ~ForwardPass();
  ForwardPass(const ForwardPass&) = delete;
  ForwardPass& operator=(const ForwardPass&) = delete;

  // Feeds the sessions their events. `states` has an entry (R x width, see LayerState) for each
  // recurrent layer, updated in place; features (R x F) are those after the last event, zero for a
  // session without one. The bits of a session depend neither on the other sessions nor on the
  // number of threads. The caller has checked that items are inside the table. Throws
  // std::bad_alloc.
  virtual void advance(const SessionEvents& events, float* const* states, float* features,
                       int threads) = 0;

 protected:
  ForwardPass();
};

}  // namespace gru4rec_fast
