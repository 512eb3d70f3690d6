// NumPy arrays as arguments, checked for type and shape, and as results, handed over without a
// copy.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "data/span.h"

namespace py = pybind11;

namespace gru4rec_fast {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_>;

inline std::string describe(const py::array& array) {
  return py::str(array.dtype()).cast<std::string>() + " of shape " +
         py::str(array.attr("shape")).cast<std::string>();
}

// The array as contiguous memory. No silent cast: it could wrap a code or copy 10^8 events.
template <class T>
Array<T> array_of(const char* name, const py::array& array, py::ssize_t dimensions) {
  if (!py::isinstance<py::array_t<T>>(array) || array.ndim() != dimensions) {
    const auto dtype = py::str(py::dtype::of<T>()).cast<std::string>();
    throw std::invalid_argument(std::string(name) + " is " + describe(array) + "; expected " +
                                dtype + " of " + std::to_string(dimensions) +
                                " dimension(s), convert it with numpy.asarray(" + name +
                                ", dtype='" + dtype + "')");
  }
  auto contiguous = Array<T>::ensure(array);
  if (!contiguous) throw py::error_already_set();
  return contiguous;
}

// Whether elements lie at multiples of their size, as C++ may assume.
inline bool is_aligned(const py::array& array) {
  return (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
}

inline void expect(bool fits, const std::string& name, const py::array& array, std::ptrdiff_t rows,
                   std::ptrdiff_t columns) {
  if (fits) return;
  throw std::invalid_argument(name + " is " + describe(array) + "; expected (" +
                              std::to_string(rows) + ", " + std::to_string(columns) + ")");
}

template <class T>
Span<T> span(const Array<T>& array) {
  return {array.data(), array.size()};
}

// Throws std::invalid_argument unless all rows are of 0..n-1.
inline void require_rows(const char* name, const Array<std::int64_t>& rows, std::ptrdiff_t n) {
  for (const std::int64_t row : span(rows)) {
    if (row < 0 || row >= n) {
      throw std::invalid_argument(std::string(name) + " holds " + std::to_string(row) +
                                  "; expected 0.." + std::to_string(n - 1));
    }
  }
}

// A Python or NumPy integer of 0..2^64-1.
inline std::uint64_t unsigned_of(const char* name, const py::object& value) {
  auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) throw py::error_already_set();
  const unsigned long long number = PyLong_AsUnsignedLongLong(index.ptr());
  if (number == static_cast<unsigned long long>(-1) && PyErr_Occurred()) {
    PyErr_Clear();
    throw std::invalid_argument(std::string(name) + " is " + py::str(index).cast<std::string>() +
                                "; expected an integer of 0..2^64-1");
  }
  return number;
}

inline int thread_count(int threads) {
  if (threads < 1) {
    throw std::invalid_argument("threads is " + std::to_string(threads) + "; expected at least 1");
  }
  return threads;
}

// Runs `work` without the GIL.
template <class Work>
auto unlocked(Work&& work) {
  const py::gil_scoped_release release;
  return std::forward<Work>(work)();
}

// Hands `values` over to NumPy without a copy.
template <class T>
py::array_t<T> moved(std::vector<T> values, std::vector<py::ssize_t> shape) {
  auto kept = std::make_unique<std::vector<T>>(std::move(values));
  const T* data = kept->data();
  const py::capsule owner(kept.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  kept.release();
  return py::array_t<T>(std::move(shape), data, owner);
}

}  // namespace gru4rec_fast
