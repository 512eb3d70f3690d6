// Parameters and optimiser state as arrays that the engine updates in place.
#pragma once

#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "engine/network.h"
#include "engine/parts.h"

namespace gru4rec_fast {

// A state table of a parameter.
struct StateArray {
  StateTableKind kind;
  py::array array;
};

// A parameter and its state. `value` must be contiguous, and the state's rows, which may lie apart.
// Both are (rows, columns), or (n,) for a vector that is (n, 1) or (1, n) here; a state table by
// row is (rows, 1) or (n,). Throws std::invalid_argument for what does not fit. The arrays are
// borrowed.
Parameter borrow_parameter(const std::string& name, const py::array& value,
                           const std::vector<StateArray>& state, MatrixSize size);
// The same for an item table, which can also be bfloat16, as uint16 of the same bits.
Parameter borrow_table(const std::string& name, const py::array& value,
                       const std::vector<StateArray>& state, MatrixSize size);

// A model's parameters and their state, by the names of its state_dict. Arrays are kept alive.
class ParameterArrays {
 public:
  // `state` has a dict for each of the `tables`.
  ParameterArrays(py::dict values, std::vector<py::dict> state, std::vector<StateTableKind> tables);

  Parameter get(const std::string& name, MatrixSize size);
  Parameter table(const std::string& name, MatrixSize size);

 private:
  using Borrow = decltype(borrow_parameter);
  Parameter borrowed(const std::string& name, MatrixSize size, Borrow* borrow);

  py::dict values_;
  std::vector<py::dict> state_;
  std::vector<StateTableKind> tables_;
  std::vector<py::array> owners_;
};

// The state tables that the optimiser keeps with these options; throws
// std::invalid_argument unless there are `given` of them.
std::vector<StateTableKind> state_tables(const OptimiserKind& kind, const OptionValues& options,
                                         std::size_t given);

}  // namespace gru4rec_fast
