// Adadelta (Zeiler 2012): a = rho a + (1 - rho) g^2; s = (u + eps) / (a + eps);
// u = rho u + (1 - rho) s g^2; g^ = g sqrt(s). Its learning rate should be 1.
#include "isa/optimisers/optimisers.h"
#include "isa/optimisers/rule.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

enum Option { kRho = kFirstRuleOption };

struct Adadelta : ElementwiseRule {
  static constexpr int kTables = 2;
  explicit Adadelta(const OptionValues& options) : average(options.value[kRho]) {}

  Vec scaled(Vec g, Vec* state, NoRow) const {
    const Vec square = g * g;
    state[0] = average(state[0], square);
    const Vec scale = (state[1] + kOptimiserEpsilon) / (state[0] + kOptimiserEpsilon);
    state[1] = average(state[1], scale * square);
    return g * square_root(scale);
  }

  MovingAverage average;
};

}  // namespace

const OptimiserEntry adadelta = {{"adadelta",
                                  {"learning_rate", "momentum", "lmbd", "rho"},
                                  {{"accumulator", false}, {"update", false}, {"momentum", false}},
                                  count_tables<Adadelta>},
                                 make_rule<Adadelta>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
