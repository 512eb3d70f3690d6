// Python bindings of the rows that several processes exchange.
#include "data/row_sums.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"

namespace gru4rec_fast {
namespace {

// A matrix that is written or read in place: contiguous, so that no copy is made.
template <class T>
T* in_place(const char* name, py::array& array, std::ptrdiff_t columns) {
  if (!py::isinstance<Array<T>>(array) || array.ndim() != 2 || array.shape(1) != columns) {
    throw std::invalid_argument(std::string(name) + " is " + describe(array) +
                                "; expected contiguous " +
                                py::str(py::dtype::of<T>()).template cast<std::string>() + " of " +
                                std::to_string(columns) + " columns");
  }
  return static_cast<T*>(array.mutable_data());
}

template <class T>
void copy(py::array to, const py::array& to_rows, py::array from, const py::array& from_rows) {
  const std::ptrdiff_t columns = to.ndim() == 2 ? to.shape(1) : 0;
  T* target = in_place<T>("to", to, columns);
  const T* source = in_place<T>("from_", from, columns);
  const auto places = array_of<std::int64_t>("to_rows", to_rows, 1);
  const auto rows = array_of<std::int64_t>("from_rows", from_rows, 1);
  expect(rows.size() == places.size(), "from_rows", rows, places.size(), 1);
  require_rows("to_rows", places, to.shape(0));
  require_rows("from_rows", rows, from.shape(0));
  unlocked([&] { copy_rows(target, places.data(), source, rows.data(), places.size(), columns); });
}

template <class T>
void sum(py::array total, std::vector<py::array> parts, const py::object& rows) {
  const std::ptrdiff_t columns = total.ndim() == 2 ? total.shape(1) : 0;
  T* target = in_place<T>("total", total, columns);
  std::vector<const T*> sources;
  std::ptrdiff_t most = PTRDIFF_MAX;
  for (py::array& part : parts) {
    sources.push_back(in_place<T>("part", part, columns));
    most = std::min<std::ptrdiff_t>(most, part.shape(0));
  }
  if (sources.empty()) throw std::invalid_argument("there are no parts; expected at least one");
  Array<std::int64_t> chosen;
  std::ptrdiff_t n = most;
  if (!rows.is_none()) {
    chosen = array_of<std::int64_t>("rows", py::cast<py::array>(rows), 1);
    require_rows("rows", chosen, most);
    n = chosen.size();
  }
  expect(total.shape(0) == n, "total", total, n, columns);
  unlocked([&] {
    sum_rows(target, sources.data(), static_cast<std::ptrdiff_t>(sources.size()),
             rows.is_none() ? nullptr : chosen.data(), n, columns);
  });
}

}  // namespace

void bind_row_sums(py::module_& m) {
  m.def(
      "copy_rows",
      [](const py::array& to, const py::array& to_rows, const py::array& from,
         const py::array& from_rows) {
        const bool doubles = py::isinstance<py::array_t<double>>(to);
        (doubles ? &copy<double> : &copy<float>)(to, to_rows, from, from_rows);
      },
      py::arg("to"), py::arg("to_rows"), py::arg("from_"), py::arg("from_rows"));
  m.def(
      "sum_rows",
      [](const py::array& total, std::vector<py::array> parts, const py::object& rows) {
        const bool doubles = py::isinstance<py::array_t<double>>(total);
        (doubles ? &sum<double> : &sum<float>)(total, std::move(parts), rows);
      },
      py::arg("total"), py::arg("parts"), py::arg("rows") = py::none());
}

}  // namespace gru4rec_fast
