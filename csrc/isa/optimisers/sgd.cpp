// Stochastic gradient descent: g^ = g.
#include "isa/optimisers/optimisers.h"
#include "isa/optimisers/rule.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct Sgd : ElementwiseRule {
  static constexpr int kTables = 0;
  explicit Sgd(const OptionValues&) {}
  Vec scaled(Vec g, Vec*, NoRow) const { return g; }
};

}  // namespace

const OptimiserEntry sgd = {
    {"sgd", {"learning_rate", "momentum", "lmbd"}, {{"momentum", false}}, count_tables<Sgd>},
    make_rule<Sgd>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
