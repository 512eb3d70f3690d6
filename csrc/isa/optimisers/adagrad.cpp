// Adagrad with momentum (SPEC section 6):
//
//   a += g^2;   m = mu m - eta g / sqrt(a + eps);   theta += m
//
// With L2 it is a Rule; without, which is the default, a Part of its own. With fused multiply-add
// one of the two products of m is rounded by itself. For the rows that are inputs it is mu m, for
// all others the step eta g / sqrt(a + eps): trained models depend on it in the last bit.
#include "isa/optimisers/optimisers.h"
#include "isa/optimisers/rule.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct AdagradRule : ElementwiseRule {
  static constexpr int kTables = 1;
  explicit AdagradRule(const OptionValues&) {}

  Vec scaled(Vec g, Vec* state, NoRow) const {
    state[0] += g * g;
    return g * reciprocal_root(state[0] + kOptimiserEpsilon);
  }
};

template <bool with_momentum, RowOrigin origin>
struct Adagrad {
  static constexpr int kTables = with_momentum ? 2 : 1, kRowTable = kNoRowTable;

  explicit Adagrad(const OptionValues& options)
      : learning_rate(static_cast<float>(options.value[kLearningRate])),
        momentum(static_cast<float>(options.value[kMomentum])) {}

  Vec update(Vec theta, Vec g, Vec* state, NoRow) const {
    state[0] += g * g;
    const Vec rate = learning_rate * g, root = reciprocal_root(state[0] + kOptimiserEpsilon);
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

  void set_learning_rate(float rate) override {
    weights_.set_learning_rate(rate);
    inputs_.set_learning_rate(rate);
  }

  void update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
              RowOrigin origin) const override {
    if (origin == RowOrigin::kInputs) {
      inputs_.update(p, rows, g, g_stride, origin);
    } else {
      weights_.update(p, rows, g, g_stride, origin);
    }
  }

 private:
  RowOptimiser<Adagrad<with_momentum, RowOrigin::kWeights>> weights_;
  RowOptimiser<Adagrad<with_momentum, RowOrigin::kInputs>> inputs_;
};

std::unique_ptr<Optimiser> make(const OptionValues& options) {
  if (options.value[kL2] > 0) return make_rule<AdagradRule>(options);
  if (options.value[kMomentum] > 0) {
    return std::unique_ptr<Optimiser>(new AdagradOptimiser<true>(options));
  }
  return std::unique_ptr<Optimiser>(new AdagradOptimiser<false>(options));
}

}  // namespace

const OptimiserEntry adagrad = {{"adagrad",
                                 {"learning_rate", "momentum", "lmbd"},
                                 {{"accumulator", false}, {"momentum", false}},
                                 count_tables<AdagradRule>},
                                make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
