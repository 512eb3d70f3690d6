// The parts of the Python module. gru4rec_fast/_core.pyi describes what they offer.
#pragma once

#include <pybind11/pybind11.h>

namespace gru4rec_fast {

void bind_data(pybind11::module_& m);
void bind_preparation(pybind11::module_& m);
void bind_trainer(pybind11::module_& m);
void bind_forward_pass(pybind11::module_& m);
void bind_parts(pybind11::module_& m);
void bind_ranks(pybind11::module_& m);
void bind_bounded_items(pybind11::module_& m);
void bind_bf16_products(pybind11::module_& m);
void bind_instruction_sets(pybind11::module_& m);
void bind_row_sums(pybind11::module_& m);
void bind_baselines(pybind11::module_& m);

}  // namespace gru4rec_fast
