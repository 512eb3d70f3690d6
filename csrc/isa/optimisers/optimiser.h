// The interface of an optimiser, and of whatever else takes the gradients of a step.
//
// A training step hands over every gradient once, as soon as it is complete: dense weights in
// blocks of rows, table rows in groups, and never two gradients of one row. An implementation may
// therefore also collect gradients, to cap their norm or to send them elsewhere, and update later.
#pragma once

#include <memory>

#include "engine/network.h"
#include "engine/parts.h"
#include "engine/thread_pool.h"
#include "isa/row_prefetch.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// Which rows a gradient is for: dense weights and scored items, or the inputs of the step.
enum class RowOrigin { kWeights, kInputs };

class Optimiser {
 public:
  virtual ~Optimiser() = default;

  // Takes the gradients g (rows.size() x columns, rows g_stride floats apart) of these rows of p,
  // which are unique. Several threads call it at once, for different rows.
  virtual void update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
                      RowOrigin origin) const = 0;

  // Sets the learning rate of the steps that follow.
  virtual void set_learning_rate(float rate) = 0;

  // Ends a step, after its last gradient.
  virtual void finish_step(ThreadPool&) const {}
};

struct OptimiserEntry {
  OptimiserKind kind;
  std::unique_ptr<Optimiser> (*make)(const OptionValues& options);
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
