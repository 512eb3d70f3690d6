// An activation is a struct Function and a line in kActivations:
//
//   struct Function {
//     explicit Function(const float* parameters);
//     Vec value(Vec x) const;
//     Vec slope(Vec y) const;  // the derivative, from the value
//   };
//
// NaN gives NaN, so that training notices it.
#include "isa/activation.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

template <class Function>
class ElementwiseActivation final : public Activation {
 public:
  explicit ElementwiseActivation(const float* parameters) : function_(parameters) {}

  void forward(const TileView& tile, float* x) const override {
    for (Index u = 0; u < tile.rows; ++u, x += tile.stride) {
      for (Index i = 0; i < tile.lanes; i += kWidth) store(x + i, function_.value(load(x + i)));
    }
  }

  void backward(const TileView& tile, const float* y, float* d) const override {
    for (Index u = 0; u < tile.rows; ++u, y += tile.stride, d += tile.stride) {
      for (Index i = 0; i < tile.lanes; i += kWidth) {
        store(d + i, load(d + i) * function_.slope(load(y + i)));
      }
    }
  }

  float slope(float y) const override { return function_.slope(broadcast(y))[0]; }

 private:
  Function function_;
};

struct Relu {
  explicit Relu(const float*) {}
  Vec value(Vec x) const { return x < 0.0f ? Vec{} : x; }
  Vec slope(Vec y) const { return y > 0.0f ? broadcast(1.0f) : Vec{}; }
};

struct Tanh {
  explicit Tanh(const float*) {}
  Vec value(Vec x) const { return hyperbolic_tangent(x); }
  Vec slope(Vec y) const { return 1.0f - y * y; }
};

// x for x > 0, else a x.
struct Leaky {
  explicit Leaky(const float* parameters) : a(parameters[0]) {}
  Vec value(Vec x) const { return x > 0.0f ? x : a * x; }
  Vec slope(Vec y) const { return y > 0.0f ? broadcast(1.0f) : broadcast(a); }
  float a;
};

// x for x > 0, else alpha (e^x - 1).
struct Elu {
  explicit Elu(const float* parameters) : alpha(parameters[0]) {}
  Vec value(Vec x) const { return x > 0.0f ? x : alpha * (exponential(minimum(x, Vec{})) - 1.0f); }
  Vec slope(Vec y) const { return y > 0.0f ? broadcast(1.0f) : y + alpha; }
  float alpha;
};

// lambda x for x > 0, else lambda alpha (e^x - 1).
struct Selu {
  explicit Selu(const float* parameters)
      : lambda(parameters[0]), product(parameters[0] * parameters[1]) {}
  Vec value(Vec x) const {
    return x > 0.0f ? lambda * x : product * (exponential(minimum(x, Vec{})) - 1.0f);
  }
  Vec slope(Vec y) const { return y > 0.0f ? broadcast(lambda) : y + product; }
  float lambda, product;
};

using MakeActivation = std::unique_ptr<Activation>(const float* parameters);

std::unique_ptr<Activation> make_linear(const float*) {
  return nullptr;
}

template <class Function>
std::unique_ptr<Activation> make(const float* parameters) {
  return std::unique_ptr<Activation>(new ElementwiseActivation<Function>(parameters));
}

struct ActivationEntry {
  ActivationKind kind;
  MakeActivation* make;
};

// The linear one is the first, which is the default of ActivationSettings.
constexpr ActivationEntry kActivations[] = {
    {{"linear", 0}, make_linear}, {{"relu", 0}, make<Relu>}, {{"tanh", 0}, make<Tanh>},
    {{"leaky", 1}, make<Leaky>},  {{"elu", 1}, make<Elu>},   {{"selu", 2}, make<Selu>},
};

}  // namespace

std::unique_ptr<Activation> make_activation(const ActivationSettings& settings) {
  return kActivations[settings.kind].make(settings.parameters);
}

const ActivationKind* activation_kind(int index) {
  constexpr int kCount = static_cast<int>(sizeof kActivations / sizeof kActivations[0]);
  return index >= 0 && index < kCount ? &kActivations[index].kind : nullptr;
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
