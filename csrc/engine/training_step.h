// The interface of a training step: SPEC sections 3 to 6 in float32. csrc/isa/training_step.cpp
// implements it once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/network.h"
#include "engine/parts.h"
#include "engine/step_block.h"

namespace gru4rec_fast {

// `loss` and `optimiser` are indices into the parts of kernels.h.
struct TrainingSettings {
  int loss = 0;
  OptionValues loss_options;
  ActivationSettings activation;  // of the scores before the loss
  int optimiser = 0;
  OptionValues optimiser_options;
  double grad_cap = 0;                    // the largest norm of all gradients of a step, 0 for none
  std::ptrdiff_t batch_size = 0;          // the B that a step's loss is divided by
  std::uint64_t seed = 0;                 // of the dropout masks
  Products products;                      // what multiplies
  const std::int64_t* support = nullptr;  // (V,) events per item
};

// What a layer carries from step to step: `value` has room for (B x width) and holds `rows` rows. A
// row has the H numbers of each of the cell's states, one after the other: width = states * H, 0
// for a feed-forward layer.
struct LayerState {
  float* value = nullptr;
  std::ptrdiff_t rows = 0;
};

class TrainingStep {
 public:
  virtual ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  // Trains the steps of `block`; losses (T,). `states` has an entry for each layer. In: the states
  // after the step before the block. Out: those after its last step. The result does not depend on
  // the number of threads. The caller has checked all shapes, and that indices are inside their
  // tables. Throws std::bad_alloc.
  virtual void train_block(const StepBlock& block, LayerState* states, float* losses,
                           int threads) = 0;

 protected:
  TrainingStep();
};

}  // namespace gru4rec_fast
