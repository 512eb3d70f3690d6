// The activations, applied in place to a tile of numbers.
//
// The derivative is computed from the activated value, so the input need not be kept.
#pragma once

#include <memory>

#include "engine/parts.h"
#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// A tile: rows x lanes, rows `stride` floats apart. Lanes are rounded up to whole vectors.
struct TileView {
  Index rows, lanes, stride;
};

class Activation {
 public:
  virtual ~Activation() = default;
  virtual void forward(const TileView& tile, float* x) const = 0;
  // Multiplies the gradients d by the derivative, given the activated values y.
  virtual void backward(const TileView& tile, const float* y, float* d) const = 0;
  // The derivative at one activated value.
  virtual float slope(float y) const = 0;
};

// Null for the linear activation.
std::unique_ptr<Activation> make_activation(const ActivationSettings& settings);

// The activation of this index, null beyond the last.
const ActivationKind* activation_kind(int index);

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
