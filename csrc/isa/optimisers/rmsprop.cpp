// RMSprop: a = rho a + (1 - rho) g^2; g^ = g / sqrt(a + eps).
#include "isa/optimisers/optimisers.h"
#include "isa/optimisers/rule.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

enum Option { kRho = kFirstRuleOption };

struct RmsProp : ElementwiseRule {
  static constexpr int kTables = 1;
  explicit RmsProp(const OptionValues& options) : average(options.value[kRho]) {}

  Vec scaled(Vec g, Vec* state, NoRow) const {
    state[0] = average(state[0], g * g);
    return g * reciprocal_root(state[0] + kOptimiserEpsilon);
  }

  MovingAverage average;
};

}  // namespace

const OptimiserEntry rmsprop = {{"rmsprop",
                                 {"learning_rate", "momentum", "lmbd", "rho"},
                                 {{"accumulator", false}, {"momentum", false}},
                                 count_tables<RmsProp>},
                                make_rule<RmsProp>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
