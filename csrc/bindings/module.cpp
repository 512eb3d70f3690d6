#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "Data side and CPU engine of gru4rec_fast in C++; see _core.pyi.";
  gru4rec_fast::bind_data(m);
  gru4rec_fast::bind_preparation(m);
  gru4rec_fast::bind_trainer(m);
  gru4rec_fast::bind_forward_pass(m);
  gru4rec_fast::bind_parts(m);
  gru4rec_fast::bind_ranks(m);
  gru4rec_fast::bind_bounded_items(m);
  gru4rec_fast::bind_bf16_products(m);
  gru4rec_fast::bind_instruction_sets(m);
  gru4rec_fast::bind_row_sums(m);
  gru4rec_fast::bind_baselines(m);
}
