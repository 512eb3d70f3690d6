// Python bindings of bfloat16 products: the choice of their instruction set, and one product, for
// tests.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {
namespace {

// c + a b, or a b without c; a (n, K), or its transpose with by_columns, b (K, m).
py::array_t<float> bf16_product(const std::string& precision, const py::array& a,
                                const py::array& b, bool by_columns,
                                const std::optional<py::array>& c) {
  const auto left = array_of<float>("a", a, 2), right = array_of<float>("b", b, 2);
  const std::ptrdiff_t depth = right.shape(0), columns = right.shape(1);
  const std::ptrdiff_t rows = left.shape(by_columns ? 1 : 0);
  expect(left.shape(by_columns ? 0 : 1) == depth, "a", left, by_columns ? depth : rows,
         by_columns ? rows : depth);
  const Products products = products_of(precision);
  if (products.kernels == nullptr) {
    throw std::invalid_argument("precision '" + precision +
                                "' is float32 here; choose by use_bf16_instruction_set");
  }
  // Rows of whole vectors, as the buffers of a step have them.
  const std::ptrdiff_t stride = (columns + 15) / 16 * 16;
  std::vector<float> padded(static_cast<std::size_t>(rows * stride));
  if (c.has_value()) {
    const auto start = array_of<float>("c", *c, 2);
    expect(start.shape(0) == rows && start.shape(1) == columns, "c", start, rows, columns);
    for (std::ptrdiff_t i = 0; i < rows; ++i) {
      std::copy_n(start.data() + i * columns, columns, padded.begin() + i * stride);
    }
  }
  std::vector<float> product(static_cast<std::size_t>(rows * columns));
  unlocked([&] {
    std::vector<std::uint16_t> parts(
        static_cast<std::size_t>(bf16_numbers(products.parts, depth, columns)));
    products.kernels->split(products.parts, right.data(), columns, depth, columns, 0,
                            stride / kBf16Rows, parts.data());
    const LeftFactor factor = {left.data(), left.shape(1), nullptr, 0, by_columns};
    products.kernels->multiply(products.parts, rows, columns, depth, factor, parts.data(),
                               padded.data(), stride, c.has_value(), {});
    for (std::ptrdiff_t i = 0; i < rows; ++i) {
      std::copy_n(padded.begin() + i * stride, columns, product.begin() + i * columns);
    }
  });
  return moved(std::move(product), {rows, columns});
}

}  // namespace

void bind_bf16_products(py::module_& m) {
  m.def("bf16_instruction_sets", [] { return bf16_instruction_sets(); });
  m.def("use_bf16_instruction_set", &use_bf16_instruction_set, py::arg("name"));
  m.def(
      "instructions_of_products",
      [](const std::string& precision) {
        const Bf16Kernels* kernels = products_of(precision).kernels;
        return kernels == nullptr ? std::string("float32") : std::string(kernels->name);
      },
      py::arg("precision"));
  m.def("bf16_product", &bf16_product, py::arg("precision"), py::arg("a"), py::arg("b"),
        py::arg("by_columns") = false, py::arg("c") = py::none());
}

}  // namespace gru4rec_fast
