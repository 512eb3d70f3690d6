// Adam (Kingma & Ba 2015): m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// g^ = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps). t counts the steps that touched the
// row.
#include <cmath>

#include "isa/optimisers/optimisers.h"
#include "isa/optimisers/rule.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

enum Option { kBeta1 = kFirstRuleOption, kBeta2 };

struct Adam {
  static constexpr int kTables = 3, kRowTable = 2;
  static constexpr bool kMeanSquare = false;

  // 1 / (1 - beta^t) of the two averages.
  struct Row {
    Vec mean_factor, square_factor;
  };

  explicit Adam(const OptionValues& options)
      : mean(options.value[kBeta1]),
        square(options.value[kBeta2]),
        log_beta1(static_cast<float>(std::log(options.value[kBeta1]))),
        log_beta2(static_cast<float>(std::log(options.value[kBeta2]))) {}

  Row begin_row(Vec, Vec& t) const {
    t += 1.0f;
    return {-1.0f / exp_minus_one(t * log_beta1), -1.0f / exp_minus_one(t * log_beta2)};
  }

  Vec scaled(Vec g, Vec* state, const Row& row) const {
    state[0] = mean(state[0], g);
    state[1] = square(state[1], g * g);
    const Vec root = square_root(state[1] * row.square_factor);
    return state[0] * row.mean_factor / (root + kOptimiserEpsilon);
  }

  MovingAverage mean, square;
  float log_beta1, log_beta2;
};

}  // namespace

const OptimiserEntry adam = {
    {"adam",
     {"learning_rate", "momentum", "lmbd", "beta1", "beta2"},
     {{"mean", false}, {"variance", false}, {"steps", true}, {"momentum", false}},
     count_tables<Adam>},
    make_rule<Adam>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
