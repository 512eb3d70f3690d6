// Adagrad with momentum (SPEC section 6):
//
//   a += g^2;   m = mu m - eta g / sqrt(a + eps);   theta += m
//
// State tables: the accumulator a, and with mu > 0 the momentum m.
//
// With fused multiply-add one of the two products of m is rounded by itself. For the rows that are
// inputs it is mu m, for all others the step eta g / sqrt(a + eps): trained models depend on it in
// the last bit.
#include "isa/optimisers/elementwise.h"
#include "isa/optimisers/optimisers.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr float kEpsilon = 1e-6f;

enum Option { kLearningRate, kMomentum };

template <bool with_momentum, RowOrigin origin>
struct Adagrad {
  static constexpr int kTables = with_momentum ? 2 : 1;

  explicit Adagrad(const OptionValues& options)
      : learning_rate(options.value[kLearningRate]), momentum(options.value[kMomentum]) {}

  Vec update(Vec theta, Vec g, Vec* state) const {
    state[0] += g * g;
    const Vec rate = learning_rate * g, root = reciprocal_root(state[0] + kEpsilon);
    if constexpr (!with_momentum) {
      return theta + subtract_product(Vec{}, rate, root);
    } else if constexpr (origin == RowOrigin::kInputs) {
      state[1] = subtract_product(momentum * state[1], rate, root);
    } else {
      state[1] = multiply_subtract(broadcast(momentum), state[1], rate * root);
    }
    return theta + state[1];
  }

  float learning_rate, momentum;
};

template <bool with_momentum>
class AdagradOptimiser final : public Optimiser {
 public:
  explicit AdagradOptimiser(const OptionValues& options) : weights_(options), inputs_(options) {}

  void update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
              RowOrigin origin) const override {
    if (origin == RowOrigin::kInputs) {
      inputs_.update(p, rows, g, g_stride, origin);
    } else {
      weights_.update(p, rows, g, g_stride, origin);
    }
  }

 private:
  ElementwiseOptimiser<Adagrad<with_momentum, RowOrigin::kWeights>> weights_;
  ElementwiseOptimiser<Adagrad<with_momentum, RowOrigin::kInputs>> inputs_;
};

int count_tables(const OptionValues& options) {
  return options.value[kMomentum] > 0 ? 2 : 1;
}

std::unique_ptr<Optimiser> make(const OptionValues& options) {
  if (count_tables(options) == 1) {
    return std::unique_ptr<Optimiser>(new AdagradOptimiser<false>(options));
  }
  return std::unique_ptr<Optimiser>(new AdagradOptimiser<true>(options));
}

}  // namespace

const OptimiserEntry adagrad = {
    {"adagrad", {"learning_rate", "momentum"}, {"accumulator", "momentum"}, count_tables}, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
