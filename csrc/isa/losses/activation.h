// The function between a product of the output table and a score, applied in place a tile at a
// time. No activation is a null pointer.
#pragma once

#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// A tile of scores: rows x lanes, rows `stride` floats apart. Lanes are rounded up to vectors.
struct ScoreTileView {
  Index rows, lanes, stride;
};

class Activation {
 public:
  virtual ~Activation() = default;
  virtual void forward(const ScoreTileView& tile, float* s) const = 0;
  // Multiplies the gradients d by the derivative, given the activated scores s.
  virtual void backward(const ScoreTileView& tile, const float* s, float* d) const = 0;
  // The derivative at one activated score.
  virtual float slope(float s) const = 0;
};

// ELU with parameter alpha: s for s > 0, else alpha (e^s - 1).
class Elu final : public Activation {
 public:
  explicit Elu(float alpha) : alpha_(alpha) {}

  void forward(const ScoreTileView& tile, float* s) const override {
    for (Index u = 0; u < tile.rows; ++u, s += tile.stride) {
      for (Index i = 0; i < tile.lanes; i += kWidth) store(s + i, value(load(s + i)));
    }
  }

  void backward(const ScoreTileView& tile, const float* s, float* d) const override {
    for (Index u = 0; u < tile.rows; ++u, s += tile.stride, d += tile.stride) {
      for (Index i = 0; i < tile.lanes; i += kWidth) {
        const Vec y = load(s + i);
        store(d + i, load(d + i) * (y > 0.0f ? broadcast(1.0f) : y + alpha_));
      }
    }
  }

  float slope(float s) const override { return s <= 0 ? s + alpha_ : 1.0f; }

 private:
  Vec value(Vec s) const { return s > 0.0f ? s : alpha_ * (exponential(minimum(s, Vec{})) - 1.0f); }

  float alpha_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
