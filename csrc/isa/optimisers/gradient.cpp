// No update: the gradient is left in the state table "gradient", for whoever sums it with those of
// other processes. Rows without a gradient keep what was there. Its options have no effect.
#include <cstring>

#include "isa/optimisers/optimisers.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

class Gradient final : public Optimiser {
 public:
  void update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
              RowOrigin) const override {
    const StateTable& out = p.state[0];
    for (Index i = 0; i < rows.size(); ++i) {
      std::memcpy(out.first + rows[i] * out.stride, g + i * g_stride,
                  static_cast<std::size_t>(p.columns) * sizeof(float));
    }
  }
  void set_learning_rate(float) override {}
};

std::unique_ptr<Optimiser> make(const OptionValues&) {
  return std::unique_ptr<Optimiser>(new Gradient);
}

int count_tables(const OptionValues&) {
  return 1;
}

}  // namespace

const OptimiserEntry gradient = {
    {"gradient", {"learning_rate", "momentum", "lmbd"}, {{"gradient", false}}, count_tables}, make};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
