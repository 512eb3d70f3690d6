// Python bindings of training.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/network.h"
#include "bindings/parameters.h"
#include "bindings/parts.h"
#include "bindings/step_block.h"
#include "data/row_sums.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {
namespace {

// A name, and the activation's parameters.
using NamedActivation = std::pair<std::string, std::vector<double>>;

// Trains one network; keeps the arrays that it borrows alive, and the states between blocks.
class Trainer {
 public:
  Trainer(const py::object& spec, const py::dict& parameters, const std::string& optimiser,
          const py::dict& optimiser_options_of, std::vector<py::dict> state,
          const std::string& loss, const py::dict& loss_options_of,
          const NamedActivation& activation, double grad_cap, std::ptrdiff_t batch_size,
          const py::object& seed, const py::array& support, std::string precision);

  void start_epoch();
  py::array_t<float> train_block(const py::object& block, int threads,
                                 const std::optional<py::array>& learning_rates);
  py::list states() const;
  void set_states(const std::vector<py::array>& states);

 private:
  void check_lanes(const StepBlock& block) const;

  TrainingSettings settings_;
  std::string precision_;
  std::unique_ptr<ParameterArrays> arrays_;
  std::vector<Layer> layers_;
  Network network_;
  Array<std::int64_t> support_;

  std::vector<LayerState> states_;  // of every layer
  // Of the recurrent ones, which are the first.
  std::vector<std::ptrdiff_t> widths_;      // columns of the state
  std::vector<std::vector<float>> floats_;  // (B x width)

  mutable std::mutex mutex_;  // train_block works without the GIL
  std::unique_ptr<TrainingStep> step_;
  const Kernels* step_kernels_ = nullptr;  // the instruction set that made step_
};

Trainer::Trainer(const py::object& spec, const py::dict& parameters, const std::string& optimiser,
                 const py::dict& optimiser_options_of, std::vector<py::dict> state,
                 const std::string& loss, const py::dict& loss_options_of,
                 const NamedActivation& activation, double grad_cap, std::ptrdiff_t batch_size,
                 const py::object& seed, const py::array& support, std::string precision)
    : precision_(std::move(precision)), support_(array_of<std::int64_t>("support", support, 1)) {
  if (batch_size < 1 || batch_size > INT32_MAX) {
    throw std::invalid_argument("batch_size is " + std::to_string(batch_size) +
                                "; expected 1..2147483647");
  }
  const auto loss_part = find_loss(loss);
  settings_.loss = loss_part.index;
  settings_.loss_options = loss_options(*loss_part.kind, loss_options_of);
  settings_.activation = find_activation(activation.first, activation.second);
  const auto optimiser_part = find_optimiser(optimiser);
  settings_.optimiser = optimiser_part.index;
  settings_.optimiser_options = optimiser_options(*optimiser_part.kind, optimiser_options_of);
  settings_.grad_cap = grad_cap;
  settings_.batch_size = batch_size;
  settings_.seed = unsigned_of("seed", seed);
  settings_.support = support_.data();
  settings_.products = products_of(precision_);

  auto tables = state_tables(*optimiser_part.kind, settings_.optimiser_options, state.size());
  arrays_ = std::make_unique<ParameterArrays>(parameters, std::move(state), std::move(tables));
  layers_ = make_layers(spec, *arrays_);
  network_ = make_network(spec, *arrays_, layers_);
  expect(support_.shape(0) == network_.wy.rows, "support", support_, network_.wy.rows, 1);

  for (const Layer& layer : layers_) {
    const std::ptrdiff_t width = kernels().cell(layer.cell)->states * layer.units;
    states_.push_back({nullptr, batch_size});
    if (width == 0) continue;
    widths_.push_back(width);
    floats_.emplace_back(static_cast<std::size_t>(batch_size * width));
    states_.back().value = floats_.back().data();
  }
}

void Trainer::start_epoch() {
  unlocked([&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::vector<float>& floats : floats_) std::fill(floats.begin(), floats.end(), 0.0f);
    for (LayerState& state : states_) state.rows = settings_.batch_size;
  });
}

void Trainer::check_lanes(const StepBlock& block) const {
  if (block.lanes > settings_.batch_size) {
    throw std::invalid_argument("the block has " + std::to_string(block.lanes) +
                                " lanes; expected at most batch_size, " +
                                std::to_string(settings_.batch_size));
  }
}

py::array_t<float> Trainer::train_block(const py::object& block, int threads,
                                        const std::optional<py::array>& learning_rates) {
  thread_count(threads);
  const BorrowedBlock borrowed(block);
  StepBlock steps = borrowed.block();
  check_lanes(steps);
  Array<double> rates;
  if (learning_rates.has_value()) {
    rates = array_of<double>("learning_rates", *learning_rates, 1);
    expect(rates.size() == steps.steps, "learning_rates", rates, steps.steps, 1);
    steps.learning_rate = rates.data();
  }
  std::vector<float> losses(static_cast<std::size_t>(steps.steps));
  unlocked([&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (LayerState& state : states_) state.rows = std::min(state.rows, steps.lanes);
    borrowed.check_indices(network_.wy.rows, states_.front().rows);
    const Products products = products_of(precision_);
    if (step_kernels_ != &kernels() || settings_.products.kernels != products.kernels) {
      step_kernels_ = &kernels();
      settings_.products = products;
      step_.reset(step_kernels_->make_training_step(network_, settings_));
    }
    step_->train_block(steps, states_.data(), losses.data(), threads);
  });
  return moved(std::move(losses), {steps.steps});
}

py::list Trainer::states() const {
  const auto copies = unlocked([&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::vector<float>> values;
    for (std::size_t s = 0; s < floats_.size(); ++s) {
      values.emplace_back(floats_[s].begin(), floats_[s].begin() + states_[s].rows * widths_[s]);
    }
    return values;
  });
  py::list arrays;
  for (std::size_t s = 0; s < copies.size(); ++s) {
    const auto rows = static_cast<std::ptrdiff_t>(copies[s].size()) / widths_[s];
    arrays.append(moved(copies[s], {rows, widths_[s]}));
  }
  return arrays;
}

void Trainer::set_states(const std::vector<py::array>& states) {
  if (states.size() != floats_.size()) {
    throw std::invalid_argument("there are " + std::to_string(states.size()) +
                                " states; expected one for each of " +
                                std::to_string(floats_.size()) + " layers");
  }
  std::vector<Array<float>> arrays;
  for (std::size_t s = 0; s < states.size(); ++s) {
    arrays.push_back(array_of<float>("state", states[s], 2));
    const std::ptrdiff_t rows = arrays.front().shape(0);
    expect(arrays[s].shape(0) == rows && arrays[s].shape(1) == widths_[s] &&
               rows <= settings_.batch_size,
           "state", arrays[s], std::min(rows, settings_.batch_size), widths_[s]);
  }
  unlocked([&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t s = 0; s < floats_.size(); ++s) {
      std::copy_n(arrays[s].data(), arrays[s].size(), floats_[s].begin());
      states_[s].rows = arrays[s].shape(0);
    }
  });
}

// Rows of 0..n-1, as a step has them.
std::vector<std::int32_t> rows_of(const Array<std::int64_t>& given, std::ptrdiff_t n) {
  std::vector<std::int32_t> rows;
  for (const std::int64_t row : span(given)) {
    if (row < 0 || row >= n) {
      throw std::invalid_argument("a row is outside theta; expected 0.." + std::to_string(n - 1));
    }
    rows.push_back(static_cast<std::int32_t>(row));
  }
  return rows;
}

// Gradients in several arrays, which are added up in their order.
struct GradientParts {
  std::vector<Array<float>> arrays;
  Array<std::int64_t> places;  // the rows of each array that count, unless all of them do
  bool all;

  GradientParts(const std::vector<py::array>& parts, const py::object& of_parts,
                const py::array& theta, std::ptrdiff_t n, std::ptrdiff_t columns)
      : all(of_parts.is_none()) {
    if (parts.empty()) throw std::invalid_argument("g is empty; expected at least one array");
    std::ptrdiff_t fewest = PTRDIFF_MAX;
    for (const py::array& part : parts) {
      arrays.push_back(array_of<float>("g", part, theta.ndim()));
      fewest = std::min(fewest, arrays.back().size() / columns);
      expect((!all || arrays.back().size() == n * columns) && arrays.back().size() % columns == 0,
             "g", arrays.back(), n, columns);
    }
    if (all) return;
    places = array_of<std::int64_t>("places", py::cast<py::array>(of_parts), 1);
    expect(places.size() == n, "places", places, n, 1);
    require_rows("places", places, fewest);
  }

  // The sum of rows first .. first + n - 1.
  void sum(std::ptrdiff_t first, std::ptrdiff_t n, std::ptrdiff_t columns, float* total) const {
    std::vector<const float*> sources;
    for (const auto& array : arrays) sources.push_back(array.data() + (all ? first * columns : 0));
    sum_rows(total, sources.data(), static_cast<std::ptrdiff_t>(sources.size()),
             all ? nullptr : places.data() + first, n, columns);
  }
};

// Updates rows of a parameter (rows, columns), or elements of a vector.
void update_rows(const std::string& optimiser, const py::dict& options, const py::array& theta,
                 const std::vector<py::array>& state, const py::object& rows,
                 const std::vector<py::array>& g, const py::object& places) {
  const auto part = find_optimiser(optimiser);
  const OptionValues values = optimiser_options(*part.kind, options);
  const auto tables = state_tables(*part.kind, values, state.size());
  std::vector<StateArray> arrays;
  for (std::size_t k = 0; k < state.size(); ++k) arrays.push_back({tables[k], state[k]});
  const MatrixSize size = {theta.shape(0), theta.ndim() == 2 ? theta.shape(1) : 1};
  const Parameter p = borrow_parameter("theta", theta, arrays, size);
  std::vector<std::int32_t> chosen(static_cast<std::size_t>(p.rows));
  if (rows.is_none()) {
    std::iota(chosen.begin(), chosen.end(), 0);
  } else {
    chosen = rows_of(array_of<std::int64_t>("rows", py::cast<py::array>(rows), 1), p.rows);
  }
  const auto n = static_cast<std::ptrdiff_t>(chosen.size());
  const GradientParts parts(g, places, theta, n, p.columns);
  unlocked([&] {
    // A sum of so many floats stays in the cache until it is used.
    constexpr std::ptrdiff_t kFloats = 16384;
    const std::ptrdiff_t group = std::max<std::ptrdiff_t>(1, kFloats / p.columns);
    std::vector<float> total(static_cast<std::size_t>(group * p.columns));
    for (std::ptrdiff_t first = 0; first < n; first += group) {
      const std::ptrdiff_t count = std::min(group, n - first);
      parts.sum(first, count, p.columns, total.data());
      kernels().update_rows(part.index, values, p, chosen.data() + first, count, total.data());
    }
  });
}

// The rows of the items of a table in bfloat16, as uint16, from `values`, rounded as in a step. The
// rows have the items' numbers, or `at`, where theta is a part of the table.
void round_rows(const py::array& theta, const py::array& items, const py::array& values,
                const py::object& seed, const py::object& step, int table, const py::object& at) {
  const auto given = array_of<std::int64_t>("items", items, 1);
  const auto numbers = array_of<float>("values", values, 2);
  const MatrixSize size = {theta.shape(0), numbers.shape(1)};
  const Parameter p = borrow_table("theta", theta, {}, size);
  if (p.half == nullptr || (table != 0 && table != 1)) {
    throw std::invalid_argument("theta is " + describe(theta) + " of table " +
                                std::to_string(table) + "; expected uint16 of table 0 or 1");
  }
  expect(numbers.shape(0) == given.size(), "values", numbers, given.size(), p.columns);
  const bool whole = at.is_none();
  const auto places = whole ? given : array_of<std::int64_t>("at", py::cast<py::array>(at), 1);
  if (places.size() != given.size()) {
    throw std::invalid_argument("at is " + describe(places) + "; expected shape (" +
                                std::to_string(given.size()) + ",)");
  }
  const std::vector<std::int32_t> rows = rows_of(places, p.rows);
  const std::vector<std::int32_t> numbers_of = whole ? rows : rows_of(given, INT32_MAX);
  const std::uint64_t key = unsigned_of("seed", seed), number = unsigned_of("step", step);
  unlocked([&] {
    kernels().round_rows(p, rows.data(), numbers_of.data(), given.size(), numbers.data(), key,
                         number, table);
  });
}

}  // namespace

void bind_trainer(py::module_& m) {
  py::class_<Trainer>(m, "Trainer")
      .def(py::init<const py::object&, const py::dict&, const std::string&, const py::dict&,
                    std::vector<py::dict>, const std::string&, const py::dict&,
                    const NamedActivation&, double, std::ptrdiff_t, const py::object&,
                    const py::array&, std::string>(),
           py::kw_only(), py::arg("spec"), py::arg("parameters"), py::arg("optimiser"),
           py::arg("optimiser_options"), py::arg("state"), py::arg("loss"), py::arg("loss_options"),
           py::arg("activation"), py::arg("grad_cap"), py::arg("batch_size"), py::arg("seed"),
           py::arg("support"), py::arg("precision") = "highest")
      .def("start_epoch", &Trainer::start_epoch)
      .def("train_block", &Trainer::train_block, py::arg("block"), py::arg("threads"),
           py::arg("learning_rates") = py::none())
      .def_property("states", &Trainer::states, &Trainer::set_states);
  m.def("update_rows", &update_rows, py::arg("optimiser"), py::arg("options"), py::arg("theta"),
        py::arg("state"), py::arg("rows"), py::arg("g"), py::arg("places") = py::none());
  m.def("round_rows", &round_rows, py::arg("theta"), py::arg("items"), py::arg("values"),
        py::arg("seed"), py::arg("step"), py::arg("table"), py::arg("at") = py::none());
}

}  // namespace gru4rec_fast
