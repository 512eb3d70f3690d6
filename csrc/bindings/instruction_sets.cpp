// Python bindings of the choice of an instruction set, of its vector mathematics for tests, and of
// the advice on memory.
#include <pybind11/stl.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "engine/dispatch.h"
#include "engine/huge_pages.h"

namespace gru4rec_fast {

void bind_instruction_sets(py::module_& m) {
  m.def(
      "advise_huge_pages",
      [](const py::array& array) {
        if ((array.flags() & py::array::c_style) == 0) {
          throw std::invalid_argument("array is " + describe(array) + "; expected it contiguous");
        }
        collapse_huge_pages(array.data(), static_cast<std::size_t>(array.nbytes()));
      },
      py::arg("array"));
  m.def("instruction_sets", [] { return instruction_sets(); });
  m.def("instruction_set", [] { return std::string(kernels().name); });
  m.def("use_instruction_set", &use_instruction_set, py::arg("name"));
  m.def(
      "vector_math",
      [](const std::string& function, const py::array& x) {
        const auto in = array_of<float>("x", x, 1);
        const std::vector<std::string> names = {
            "exp", "logistic", "tanh", "log", "reciprocal_root", "log_one_plus", "exp_minus_one"};
        const auto found = std::find(names.begin(), names.end(), function);
        if (found == names.end()) {
          throw std::invalid_argument("function is '" + function +
                                      "'; expected exp, logistic, tanh, log, reciprocal_root, "
                                      "log_one_plus or exp_minus_one");
        }
        std::vector<float> out(static_cast<std::size_t>(in.size()));
        unlocked([&] {
          kernels().evaluate(static_cast<Function>(found - names.begin()), in.data(), out.data(),
                             in.size());
        });
        return moved(std::move(out), {in.size()});
      },
      py::arg("function"), py::arg("x"));
}

}  // namespace gru4rec_fast
