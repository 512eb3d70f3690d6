// Parameters and optimiser state as arrays that the engine updates in place.
#pragma once

#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "engine/network.h"
#include "engine/parts.h"

namespace gru4rec_fast {

// The optimiser's state tables of a parameter, with the tables' names.
struct NamedState {
  std::string name;
  py::array array;
};

// A parameter and its state. `value` must be contiguous, and the state's rows, which may lie apart.
// Both are (rows, columns), or (n,) for a vector that is (n, 1) or (1, n) here. Throws
// std::invalid_argument for what does not fit. The arrays are borrowed.
Parameter borrow_parameter(const std::string& name, const py::array& value,
                           const std::vector<NamedState>& state, MatrixSize size);

// A model's parameters and their state, by the names of its state_dict. Arrays are kept alive.
class ParameterArrays {
 public:
  // `state` has a dict for each of the `table_names`.
  ParameterArrays(py::dict values, std::vector<py::dict> state,
                  std::vector<std::string> table_names);

  Parameter get(const std::string& name, MatrixSize size);

 private:
  py::dict values_;
  std::vector<py::dict> state_;
  std::vector<std::string> table_names_;
  std::vector<py::array> owners_;
};

// The names of the state tables that the optimiser keeps with these options; throws
// std::invalid_argument unless there are `given` of them.
std::vector<std::string> state_table_names(const OptimiserKind& kind, const OptionValues& options,
                                           std::size_t given);

}  // namespace gru4rec_fast
