#include "bindings/parameters.h"

#include <stdexcept>
#include <utility>

namespace gru4rec_fast {
namespace {

constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));

bool is_vector(MatrixSize size) {
  return size.rows == 1 || size.columns == 1;
}

void expect_size(const std::string& name, const py::array& array, MatrixSize size) {
  const std::ptrdiff_t n = size.rows * size.columns;
  const bool vector = is_vector(size) && array.ndim() == 1 && array.shape(0) == n;
  const bool column =
      is_vector(size) && array.ndim() == 2 && array.shape(0) == n && array.shape(1) == 1;
  const bool matrix =
      array.ndim() == 2 && array.shape(0) == size.rows && array.shape(1) == size.columns;
  if (vector || column || matrix) return;
  if (size.rows == 1) {
    throw std::invalid_argument(name + " is " + describe(array) + "; expected (" +
                                std::to_string(n) + ",)");
  }
  expect(false, name, array, size.rows, size.columns);
}

float* first_float(const py::array& array) {
  return static_cast<float*>(const_cast<void*>(array.data()));
}

bool is_usable(const py::array& array) {
  return (array.flags() & py::array::c_style) != 0 && array.writeable() && is_aligned(array);
}

float* borrow_value(const std::string& name, const py::array& array) {
  if (!py::isinstance<py::array_t<float>>(array) || !is_usable(array)) {
    throw std::invalid_argument(name + " is " + describe(array) +
                                "; expected contiguous, writeable float32: it is updated in place");
  }
  return first_float(array);
}

StateTable borrow_state(const StateTableKind& kind, const std::string& parameter,
                        const py::array& array, MatrixSize size) {
  const std::string what = std::string(kind.name) + " of " + parameter;
  expect_size(what, array, size);
  const bool apart = array.shape(0) > 1;  // otherwise the first stride is arbitrary
  const std::ptrdiff_t columns = array.ndim() == 1 ? 1 : array.shape(1);
  const std::ptrdiff_t stride = apart ? array.strides(0) / kFloat : columns;
  const bool by_floats = !apart || array.strides(0) % kFloat == 0;
  const bool whole = columns == 1 || array.strides(1) == kFloat;
  if (!py::isinstance<py::array_t<float>>(array) || !array.writeable() || !by_floats || !whole ||
      !is_aligned(array) || stride < columns) {
    throw std::invalid_argument(what + " is " + describe(array) +
                                "; expected writeable float32 with contiguous rows: it is updated "
                                "in place");
  }
  if (size.rows == 1 && columns == 1 && stride != 1) {
    throw std::invalid_argument(what + " has elements " + std::to_string(stride) +
                                " floats apart; expected a contiguous vector");
  }
  return {first_float(array), stride, size.columns};
}

}  // namespace

namespace {

// A parameter whose value is still to be borrowed.
Parameter with_state(const std::string& name, const py::array& value,
                     const std::vector<StateArray>& state, MatrixSize size) {
  Parameter p;
  p.rows = size.rows;
  p.columns = size.columns;
  expect_size(name, value, size);
  for (std::size_t k = 0; k < state.size(); ++k) {
    const bool by_row = state[k].kind.by_row && value.ndim() == 2;
    p.state[k] =
        borrow_state(state[k].kind, name, state[k].array, by_row ? MatrixSize{size.rows, 1} : size);
  }
  return p;
}

}  // namespace

Parameter borrow_parameter(const std::string& name, const py::array& value,
                           const std::vector<StateArray>& state, MatrixSize size) {
  Parameter p = with_state(name, value, state, size);
  p.value = borrow_value(name, value);
  return p;
}

Parameter borrow_table(const std::string& name, const py::array& value,
                       const std::vector<StateArray>& state, MatrixSize size) {
  if (!py::isinstance<py::array_t<std::uint16_t>>(value) || !is_usable(value)) {
    return borrow_parameter(name, value, state, size);
  }
  Parameter p = with_state(name, value, state, size);
  p.half = static_cast<std::uint16_t*>(const_cast<void*>(value.data()));
  return p;
}

ParameterArrays::ParameterArrays(py::dict values, std::vector<py::dict> state,
                                 std::vector<StateTableKind> tables)
    : values_(std::move(values)), state_(std::move(state)), tables_(std::move(tables)) {}

Parameter ParameterArrays::get(const std::string& name, MatrixSize size) {
  return borrowed(name, size, borrow_parameter);
}

Parameter ParameterArrays::table(const std::string& name, MatrixSize size) {
  return borrowed(name, size, borrow_table);
}

Parameter ParameterArrays::borrowed(const std::string& name, MatrixSize size, Borrow* borrow) {
  const auto array_in = [&](const py::dict& arrays, const std::string& what) {
    if (!arrays.contains(name.c_str())) {
      throw std::invalid_argument(what + " has no '" + name +
                                  "'; expected an array for each of spec.parameters");
    }
    owners_.push_back(py::cast<py::array>(arrays[name.c_str()]));
    return owners_.back();
  };
  const py::array value = array_in(values_, "parameters");
  std::vector<StateArray> state;
  for (std::size_t k = 0; k < state_.size(); ++k) {
    const std::string what = "state, " + std::string(tables_[k].name) + ",";
    state.push_back({tables_[k], array_in(state_[k], what)});
  }
  return borrow(name, value, state, size);
}

std::vector<StateTableKind> state_tables(const OptimiserKind& kind, const OptionValues& options,
                                         std::size_t given) {
  std::vector<StateTableKind> tables;
  std::string expected;
  for (int k = 0; k < kind.count_tables(options); ++k) {
    tables.push_back(kind.tables[k]);
    expected += (expected.empty() ? "" : ", ") + std::string(kind.tables[k].name);
  }
  if (given != tables.size()) {
    throw std::invalid_argument("state has " + std::to_string(given) + " tables; expected " +
                                std::to_string(tables.size()) + (tables.empty() ? "" : ", ") +
                                expected + ": " + kind.name + " keeps these with its options");
  }
  return tables;
}

}  // namespace gru4rec_fast
