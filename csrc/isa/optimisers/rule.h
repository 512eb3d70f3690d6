// An optimiser made from a Rule that scales the gradient g to g^ (SPEC section 6):
//
//   d = eta (g^ + lambda theta);   v = mu v - d, theta += v  with momentum mu, else theta -= d
//
//   struct Rule {
//     static constexpr int kTables, kRowTable; static constexpr bool kMeanSquare;  // as of a Part
//     explicit Rule(const OptionValues& options);
//     Row begin_row(Vec mean_square, Vec& number) const;   // as of a Part
//     Vec scaled(Vec g, Vec* state, const Row& row) const;
//   };
//
// Its options are kStepOptions and then its own. Its state tables are its own, then the momentum.
#pragma once

#include "isa/optimisers/row_optimiser.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

inline constexpr float kOptimiserEpsilon = 1e-6f;

// The first options of every optimiser: "learning_rate", "momentum", "lmbd".
enum StepOption { kLearningRate, kMomentum, kL2, kFirstRuleOption };

// The base of a Rule that treats every element alike.
struct ElementwiseRule {
  static constexpr int kRowTable = kNoRowTable;
  static constexpr bool kMeanSquare = false;
};

// decay * average + (1 - decay) x, of which the second product is rounded.
struct MovingAverage {
  explicit MovingAverage(double rho)
      : decay(static_cast<float>(rho)), rest(static_cast<float>(1 - rho)) {}
  Vec operator()(Vec average, Vec x) const {
    return subtract_product(rounded(rest * x), broadcast(-decay), average);
  }
  float decay, rest;
};

// The Part of a Rule.
template <class Rule, bool with_momentum>
struct RuleStep {
  static constexpr int kTables = Rule::kTables + (with_momentum ? 1 : 0);
  static constexpr int kRowTable = Rule::kRowTable;
  static constexpr bool kMeanSquare = Rule::kMeanSquare;

  explicit RuleStep(const OptionValues& options)
      : rule(options),
        learning_rate(static_cast<float>(options.value[kLearningRate])),
        momentum(static_cast<float>(options.value[kMomentum])),
        l2(static_cast<float>(options.value[kL2])) {}

  auto begin_row(Vec mean_square, Vec& number) const {
    if constexpr (kRowTable != kNoRowTable) return rule.begin_row(mean_square, number);
  }

  template <class Row>
  Vec update(Vec theta, Vec g, Vec* state, const Row& row) const {
    const Vec step = rounded(learning_rate * (rule.scaled(g, state, row) + l2 * theta));
    if constexpr (!with_momentum) {
      return theta - step;
    } else {
      Vec& velocity = state[Rule::kTables];
      velocity = multiply_subtract(broadcast(momentum), velocity, step);
      return theta + velocity;
    }
  }

  Rule rule;
  float learning_rate, momentum, l2;
};

template <class Rule>
int count_tables(const OptionValues& options) {
  return Rule::kTables + (options.value[kMomentum] > 0 ? 1 : 0);
}

template <class Rule>
std::unique_ptr<Optimiser> make_rule(const OptionValues& options) {
  if (options.value[kMomentum] > 0) {
    return std::unique_ptr<Optimiser>(new RowOptimiser<RuleStep<Rule, true>>(options));
  }
  return std::unique_ptr<Optimiser>(new RowOptimiser<RuleStep<Rule, false>>(options));
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
