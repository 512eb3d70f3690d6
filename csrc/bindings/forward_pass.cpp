// Python bindings of the forward pass.
#include "engine/forward_pass.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/network.h"
#include "bindings/parameters.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {
namespace {

// Advances sessions by one network; keeps the arrays that it borrows alive.
class Forward {
 public:
  Forward(const py::object& spec, const py::dict& parameters)
      : arrays_(parameters, {}, {}),
        layers_(make_layers(spec, arrays_)),
        network_(make_network(spec, arrays_, layers_)) {
    for (const Layer& layer : layers_) {
      const std::ptrdiff_t width = kernels().cell(layer.cell)->states * layer.units;
      if (width > 0) widths_.push_back(width);
    }
  }

  py::tuple advance(const py::array& items, const std::vector<py::array>& states,
                    const py::object& offsets, int threads);

 private:
  void run(const SessionEvents& events, float* const* states, float* features, int threads);

  ParameterArrays arrays_;
  std::vector<Layer> layers_;
  Network network_;
  std::vector<std::ptrdiff_t> widths_;  // columns of the states, by recurrent layer
  std::mutex mutex_;                    // of the members below
  std::unique_ptr<ForwardPass> pass_;
  const Kernels* pass_kernels_ = nullptr;  // the instruction set that made pass_
};

// The buffers are kept for the next call, unless another thread uses them now. The mutex is never
// waited for: in a process forked from such a moment it stays locked.
void Forward::run(const SessionEvents& events, float* const* states, float* features, int threads) {
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) {
    const std::unique_ptr<ForwardPass> own(kernels().make_forward_pass(network_));
    own->advance(events, states, features, threads);
    return;
  }
  if (pass_kernels_ != &kernels()) {
    pass_kernels_ = &kernels();
    pass_.reset(pass_kernels_->make_forward_pass(network_));
  }
  pass_->advance(events, states, features, threads);
}

std::vector<std::int64_t> offsets_of(const py::object& given, std::ptrdiff_t events) {
  if (given.is_none()) {
    std::vector<std::int64_t> each(static_cast<std::size_t>(events) + 1);
    std::iota(each.begin(), each.end(), 0);
    return each;
  }
  const auto offsets = array_of<std::int64_t>("offsets", py::cast<py::array>(given), 1);
  std::vector<std::int64_t> found(offsets.data(), offsets.data() + offsets.size());
  if (found.empty() || found.front() != 0 || found.back() != events ||
      !std::is_sorted(found.begin(), found.end())) {
    throw std::invalid_argument("offsets is " + describe(offsets) +
                                "; expected 0, then ascending numbers up to the " +
                                std::to_string(events) + " events");
  }
  return found;
}

py::tuple Forward::advance(const py::array& items, const std::vector<py::array>& states,
                           const py::object& offsets, int threads) {
  thread_count(threads);
  const auto events = array_of<std::int64_t>("items", items, 1);
  const std::ptrdiff_t V = network_.wy.rows, F = network_.wy.columns;
  const auto outside = [&](std::int64_t item) { return item < 0 || item >= V; };
  if (std::any_of(events.data(), events.data() + events.size(), outside)) {
    throw std::invalid_argument("an item is outside the catalogue; expected items of 0.." +
                                std::to_string(V - 1));
  }
  const std::vector<std::int64_t> ends = offsets_of(offsets, events.size());
  const auto sessions = static_cast<std::ptrdiff_t>(ends.size()) - 1;
  if (states.size() != widths_.size()) {
    throw std::invalid_argument("there are " + std::to_string(states.size()) +
                                " states; expected one for each of " +
                                std::to_string(widths_.size()) + " recurrent layers");
  }
  py::list after;
  std::vector<float*> values;
  for (std::size_t l = 0; l < states.size(); ++l) {
    const auto before = array_of<float>("state", states[l], 2);
    expect(before.shape(0) == sessions && before.shape(1) == widths_[l], "state", before, sessions,
           widths_[l]);
    py::array_t<float> copy({sessions, widths_[l]});
    std::copy_n(before.data(), before.size(), copy.mutable_data());
    values.push_back(copy.mutable_data());
    after.append(copy);
  }
  py::array_t<float> features({sessions, F});
  float* const to = features.mutable_data();
  unlocked([&] { run({events.data(), ends.data(), sessions}, values.data(), to, threads); });
  return py::make_tuple(after, features);
}

}  // namespace

void bind_forward_pass(py::module_& m) {
  py::class_<Forward>(m, "Forward")
      .def(py::init<const py::object&, const py::dict&>(), py::kw_only(), py::arg("spec"),
           py::arg("parameters"))
      .def("advance", &Forward::advance, py::arg("items"), py::arg("states"), py::arg("offsets"),
           py::arg("threads"));
}

}  // namespace gru4rec_fast
