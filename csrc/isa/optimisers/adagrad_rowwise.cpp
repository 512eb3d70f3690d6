// Row-wise Adagrad: a += the mean of g^2 over the row; g^ = g / sqrt(a + eps). One number a row.
#include "isa/optimisers/optimisers.h"
#include "isa/optimisers/rule.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

struct AdagradRowwise {
  static constexpr int kTables = 1, kRowTable = 0;
  static constexpr bool kMeanSquare = true;

  explicit AdagradRowwise(const OptionValues&) {}

  // The row is 1 / sqrt(a + eps).
  Vec begin_row(Vec mean_square, Vec& a) const {
    a += mean_square;
    return reciprocal_root(a + kOptimiserEpsilon);
  }

  Vec scaled(Vec g, Vec*, Vec root) const { return g * root; }
};

}  // namespace

const OptimiserEntry adagrad_rowwise = {{"adagrad-rowwise",
                                         {"learning_rate", "momentum", "lmbd"},
                                         {{"accumulator", true}, {"momentum", false}},
                                         count_tables<AdagradRowwise>},
                                        make_rule<AdagradRowwise>};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
