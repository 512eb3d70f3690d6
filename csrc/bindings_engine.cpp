// The Python face of the CPU engine; gru4rec_fast/_core.pyi is its contract. Parameters, optimiser
// state and the plan are borrowed from NumPy views of the tensors; the GIL is released meanwhile.
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bindings.h"
#include "buffer.h"
#include "dispatch.h"

namespace gru4rec_fast {
namespace {

using Floats = Array<float>;

// An array that is updated in place: float32, contiguous, writeable.
float* in_place(const std::string& name, const py::array& array) {
  const bool contiguous = (array.flags() & py::array::c_style) != 0;
  if (!py::isinstance<py::array_t<float>>(array) || !contiguous || !array.writeable()) {
    throw std::invalid_argument(name + " is " + describe(array) +
                                "; expected contiguous, writeable float32: it is updated in place");
  }
  return static_cast<float*>(const_cast<void*>(array.data()));
}

void expect(bool fits, const std::string& name, const py::array& array, std::ptrdiff_t rows,
            std::ptrdiff_t columns) {
  if (fits) return;
  throw std::invalid_argument(name + " is " + describe(array) + "; expected (" +
                              std::to_string(rows) + ", " + std::to_string(columns) + ")");
}

// A matrix, or a vector where columns is 1.
void expect_shape(const std::string& name, const py::array& array, std::ptrdiff_t rows,
                  std::ptrdiff_t columns) {
  const bool vector = array.ndim() == 1 && array.shape(0) == rows && columns == 1;
  const bool matrix = array.ndim() == 2 && array.shape(0) == rows && array.shape(1) == columns;
  expect(vector || matrix, name, array, rows, columns);
}

// The state of a parameter of (rows, columns), or of (rows) where columns is 1: updated in place
// too. Its rows may lie apart, as those of a view do.
struct StateRows {
  float* first;
  std::ptrdiff_t stride;  // floats from a row to the next

  StateRows(const std::string& name, const py::array& array, std::ptrdiff_t rows,
            std::ptrdiff_t columns) {
    expect_shape(name, array, rows, columns);
    constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));
    stride = rows > 1 ? array.strides(0) / kFloat : columns;
    const bool by_floats = rows < 2 || array.strides(0) % kFloat == 0;
    const bool whole = array.ndim() == 1 ? stride == 1 : columns == 1 || array.strides(1) == kFloat;
    if (!py::isinstance<py::array_t<float>>(array) || !array.writeable() || !by_floats || !whole ||
        stride < columns) {
      throw std::invalid_argument(name + " is " + describe(array) +
                                  "; expected writeable float32 with contiguous rows: it is "
                                  "updated in place");
    }
    first = static_cast<float*>(const_cast<void*>(array.data()));
  }
};

// Gives the parameter its state; `momentum` may be None.
void set_state(Parameter& p, const std::string& name, const py::array& accumulator,
               const py::object& momentum) {
  const StateRows a("accumulator of " + name, accumulator, p.rows, p.columns);
  p.accumulator = a.first;
  p.state_stride = a.stride;
  if (momentum.is_none()) return;
  const auto array = py::cast<py::array>(momentum);
  const StateRows m("momentum of " + name, array, p.rows, p.columns);
  if (m.stride != a.stride) {
    throw std::invalid_argument("the momentum of " + name + " has rows " +
                                std::to_string(m.stride) + " floats apart; expected " +
                                std::to_string(a.stride) + ", as those of its accumulator are");
  }
  p.momentum = m.first;
}

// A model's parameters and their Adagrad state, by the names of its state_dict.
struct Parameters {
  py::dict values, accumulators, momenta;

  bool contains(const std::string& name) const { return values.contains(name.c_str()); }

  std::ptrdiff_t size(const std::string& name, int axis) const {
    return py::cast<py::array>(values[name.c_str()]).shape(axis);
  }

  // A parameter of (rows, columns), or of (rows) where columns is 1.
  Parameter get(const std::string& name, std::ptrdiff_t rows, std::ptrdiff_t columns) const {
    Parameter p;
    p.rows = rows;
    p.columns = columns;
    const auto value = py::cast<py::array>(values[name.c_str()]);
    expect_shape(name, value, rows, columns);
    p.value = in_place(name, value);
    set_state(p, name, py::cast<py::array>(accumulators[name.c_str()]),
              momenta.empty() ? py::none() : py::object(momenta[name.c_str()]));
    return p;
  }

  // A parameter of (n), whose state is contiguous.
  Parameter get_vector(const std::string& name, std::ptrdiff_t n) const {
    const Parameter p = get(name, n, 1);
    if (p.state_stride != 1) {
      throw std::invalid_argument("the state of " + name + " has elements " +
                                  std::to_string(p.state_stride) +
                                  " floats apart; expected a contiguous vector");
    }
    return p;
  }
};

std::vector<Cell> cells_of(const Parameters& p) {
  std::vector<Cell> cells;
  if (p.contains("GE.Wrz0")) {
    Cell cell;
    cell.reset_before = true;
    cell.units = p.size("GE.Wh0", 0);
    cell.inputs = 3 * cell.units;
    cell.w_hh = p.get("GE.Wrz0", cell.units, 2 * cell.units);
    cell.w_h = p.get("GE.Wh0", cell.units, cell.units);
    cell.b_ih = p.get_vector("GE.Bh0", 3 * cell.units);
    cells.push_back(cell);
  }
  for (int i = 0; p.contains("G." + std::to_string(i) + ".weight_ih"); ++i) {
    const std::string prefix = "G." + std::to_string(i) + ".";
    Cell cell;
    cell.inputs = p.size(prefix + "weight_ih", 1);
    cell.units = p.size(prefix + "weight_hh", 1);
    cell.w_ih = p.get(prefix + "weight_ih", 3 * cell.units, cell.inputs);
    cell.w_hh = p.get(prefix + "weight_hh", 3 * cell.units, cell.units);
    cell.b_ih = p.get_vector(prefix + "bias_ih", 3 * cell.units);
    cell.b_hh = p.get_vector(prefix + "bias_hh", 3 * cell.units);
    cells.push_back(cell);
  }
  if (cells.empty()) throw std::invalid_argument("the parameters hold no GRU cell");
  return cells;
}

Network network_of(const Parameters& p, const std::vector<Cell>& cells) {
  Network network;
  const std::ptrdiff_t items = p.size("Wy.weight", 0);
  network.cells = cells.data();
  network.n_cells = static_cast<int>(cells.size());
  network.wy = p.get("Wy.weight", items, cells.back().units);
  network.by = p.get("By.weight", items, 1);
  const std::ptrdiff_t inputs = cells.front().inputs;
  if (cells.front().reset_before) {
    network.input = p.get("GE.Wx0.weight", items, inputs);
  } else if (p.contains("E.weight")) {
    network.input = p.get("E.weight", items, inputs);
  } else {
    network.input = p.get("Wy.weight", items, inputs);
    network.shared = true;
  }
  for (std::size_t l = 1; l < cells.size(); ++l) {
    if (cells[l].inputs != cells[l - 1].units) {
      throw std::invalid_argument("layer " + std::to_string(l) + " takes " +
                                  std::to_string(cells[l].inputs) + " inputs; expected " +
                                  std::to_string(cells[l - 1].units) + ", the units below it");
    }
  }
  return network;
}

Settings settings_of(const py::object& config) {
  const auto number = [&](const char* name) { return config.attr(name).cast<double>(); };
  Settings s;
  const auto loss = config.attr("loss").cast<std::string>();
  if (loss == "bpr-max") {
    s.loss = Loss::kBprMax;
  } else if (loss != "cross-entropy") {
    throw std::invalid_argument("loss is '" + loss +
                                "'; the CPU engine has cross-entropy and bpr-max");
  }
  s.batch_size = config.attr("batch_size").cast<std::ptrdiff_t>();
  s.dropout_embed = number("dropout_p_embed");
  s.dropout_hidden = number("dropout_p_hidden");
  s.learning_rate = static_cast<float>(number("learning_rate"));
  s.momentum = static_cast<float>(number("momentum"));
  s.bpreg = static_cast<float>(number("bpreg"));
  s.elu = static_cast<float>(number("elu_param"));
  s.logq = static_cast<float>(number("logq"));
  s.alpha = static_cast<float>(number("sample_alpha"));
  s.seed = unsigned_of("seed", config.attr("seed"));
  return s;
}

// The arrays of a StepBlock, kept alive while they are borrowed.
struct OwnedPlan {
  BlockPlan plan;
  std::vector<py::object> owners;

  explicit OwnedPlan(const py::object& block) {
    const auto live = matrix<std::int32_t>(block, "live", 1);
    plan.first_step = unsigned_of("first_step", block.attr("first_step"));
    plan.steps = live.shape(0);
    plan.live = live.data();
    const auto source = matrix<std::int32_t>(block, "source", 2);
    const auto rows = matrix<std::int32_t>(block, "rows", 2);
    plan.lanes = source.shape(1);
    plan.width = rows.shape(1);
    plan.source = shaped(source, "source", plan.lanes);
    plan.rows = shaped(rows, "rows", plan.width);
    plan.restarts = shaped(matrix<std::uint8_t>(block, "restarts", 2), "restarts", plan.lanes);
    plan.target_count =
        shaped(matrix<std::int32_t>(block, "target_count", 2), "target_count", plan.width);
    plan.sample_count =
        shaped(matrix<std::int32_t>(block, "sample_count", 2), "sample_count", plan.width);
    plan.target_row =
        shaped(matrix<std::int32_t>(block, "target_row", 2), "target_row", plan.lanes);
    plan.input_row = shaped(matrix<std::int32_t>(block, "input_row", 2), "input_row", plan.lanes);
    plan.scored = column(block, "scored");
    plan.touched = column(block, "touched");
  }

  // Every index inside its table, so that the kernels need not look.
  void check(std::ptrdiff_t items, std::ptrdiff_t state_rows) const {
    for (std::ptrdiff_t t = 0; t < plan.steps; ++t) {
      const StepPlan step = plan.at(t);
      bool fits = step.live >= 1 && step.live <= plan.lanes && step.scored >= 1 &&
                  step.scored <= step.touched && step.touched <= plan.width;
      for (std::ptrdiff_t i = 0; fits && i < step.live; ++i) {
        fits = inside(step.target_row[i], step.scored) && inside(step.input_row[i], step.touched) &&
               (step.restarts[i] != 0 || inside(step.source[i], state_rows));
      }
      for (std::ptrdiff_t u = 0; fits && u < step.touched; ++u) fits = inside(step.rows[u], items);
      if (!fits) {
        throw std::invalid_argument("step " + std::to_string(t) +
                                    " of the block names a lane, row or item that does not exist; "
                                    "expected a block of plan_epoch for a catalogue of " +
                                    std::to_string(items) + " items");
      }
      state_rows = step.live;
    }
  }

 private:
  static bool inside(std::int32_t index, std::ptrdiff_t size) { return index >= 0 && index < size; }

  template <class T>
  Array<T> matrix(const py::object& block, const char* name, py::ssize_t dimensions) {
    auto array = array_of<T>(name, py::cast<py::array>(block.attr(name)), dimensions);
    owners.push_back(array);
    return array;
  }

  template <class T>
  const T* shaped(const Array<T>& array, const char* name, std::ptrdiff_t columns) {
    expect(array.shape(0) == plan.steps && array.shape(1) == columns, name, array, plan.steps,
           columns);
    return array.data();
  }

  const std::int32_t* column(const py::object& block, const char* name) {
    const auto array = matrix<std::int32_t>(block, name, 1);
    expect(array.shape(0) == plan.steps, name, array, plan.steps, 1);
    return array.data();
  }
};

int thread_count(int threads) {
  if (threads < 1) {
    throw std::invalid_argument("threads is " + std::to_string(threads) + "; expected at least 1");
  }
  return threads;
}

py::tuple train_block_of(const py::dict& parameters, const py::dict& accumulators,
                         const py::dict& momenta, const std::vector<py::array>& states,
                         const py::object& block, const py::array& support,
                         const py::object& config, int threads) {
  const Parameters p{parameters, accumulators, momenta};
  const std::vector<Cell> cells = cells_of(p);
  const Network network = network_of(p, cells);
  Settings settings = settings_of(config);
  const auto supports = array_of<std::int64_t>("support", support, 1);
  expect(supports.shape(0) == network.wy.rows, "support", supports, network.wy.rows, 1);
  settings.support = supports.data();
  const OwnedPlan owned(block);
  const BlockPlan& plan = owned.plan;

  if (states.size() != cells.size()) {
    throw std::invalid_argument("there are " + std::to_string(states.size()) +
                                " states; expected one for each of " +
                                std::to_string(cells.size()) + " layers");
  }
  std::vector<std::vector<float>> room;
  std::vector<LayerState> layer_states;
  for (std::size_t l = 0; l < cells.size(); ++l) {
    const auto state = array_of<float>("state", states[l], 2);
    expect(state.shape(1) == cells[l].units && state.shape(0) == states[0].shape(0), "state", state,
           states[0].shape(0), cells[l].units);
    const std::ptrdiff_t rows = std::max<std::ptrdiff_t>(state.shape(0), plan.lanes);
    room.emplace_back(static_cast<std::size_t>(rows * cells[l].units));
    std::copy_n(state.data(), state.size(), room.back().begin());
    layer_states.push_back({room.back().data(), std::min(state.shape(0), plan.lanes)});
  }
  std::vector<float> losses(static_cast<std::size_t>(plan.steps));
  const std::ptrdiff_t state_rows = layer_states.front().rows;
  unlocked([&] {
    owned.check(network.wy.rows, state_rows);
    kernels().train_block(network, settings, plan, layer_states.data(), losses.data(),
                          thread_count(threads));
  });

  py::list new_states;
  for (std::size_t l = 0; l < cells.size(); ++l) {
    const std::ptrdiff_t rows = layer_states[l].rows, units = cells[l].units;
    room[l].resize(static_cast<std::size_t>(rows * units));
    new_states.append(moved(std::move(room[l]), {rows, units}));
  }
  return py::make_tuple(moved(std::move(losses), {plan.steps}), new_states);
}

// features (R x H), w (V x H) and b (V x 1) of a scan of the catalogue.
struct Catalogue {
  Floats features, w, b;

  Catalogue(const py::array& features_of, const py::array& w_of, const py::array& b_of)
      : features(array_of<float>("features", features_of, 2)),
        w(array_of<float>("w", w_of, 2)),
        b(array_of<float>("b", b_of, 2)) {
    expect(features.shape(1) == w.shape(1), "features", features, features.shape(0), w.shape(1));
    expect(b.shape(0) == w.shape(0) && b.shape(1) == 1, "b", b, w.shape(0), 1);
  }

  void expect_items(const std::string& what, const Array<std::int64_t>& items) const {
    const auto n_items = w.shape(0);
    const auto outside = [&](std::int64_t item) { return item < 0 || item >= n_items; };
    if (std::any_of(items.data(), items.data() + items.size(), outside)) {
      throw std::invalid_argument(what + " is outside the catalogue; expected items of 0.." +
                                  std::to_string(n_items - 1));
    }
  }
};

void bind_scans(py::module_& m) {
  m.def(
      "rank_counts",
      [](const py::array& features, const py::array& w, const py::array& b,
         const py::array& targets, int threads) {
        const Catalogue c(features, w, b);
        const auto target = array_of<std::int64_t>("targets", targets, 1);
        const std::ptrdiff_t rows = c.features.shape(0), items = c.w.shape(0);
        expect(target.shape(0) == rows, "targets", target, rows, 1);
        c.expect_items("a target", target);
        std::vector<std::int64_t> greater(static_cast<std::size_t>(rows));
        std::vector<std::int64_t> equal(greater.size());
        unlocked([&] {
          kernels().rank_counts(c.features.data(), rows, c.w.shape(1), c.w.data(), c.b.data(),
                                items, target.data(), greater.data(), equal.data(),
                                thread_count(threads));
        });
        return py::make_tuple(moved(std::move(greater), {rows}), moved(std::move(equal), {rows}));
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("targets"), py::arg("threads"));

  m.def(
      "top_k",
      [](const py::array& features, const py::array& w, const py::array& b, std::int64_t k,
         int threads) {
        const Catalogue c(features, w, b);
        const std::ptrdiff_t rows = c.features.shape(0), items = c.w.shape(0);
        if (k < 0) throw std::invalid_argument("k is " + std::to_string(k) + "; expected >= 0");
        const std::ptrdiff_t best = std::min<std::ptrdiff_t>(k, items);
        std::vector<float> scores(static_cast<std::size_t>(rows * best));
        std::vector<std::int64_t> found(scores.size());
        unlocked([&] {
          if (best == 0) return;
          kernels().top_k(c.features.data(), rows, c.w.shape(1), c.w.data(), c.b.data(), items,
                          best, scores.data(), found.data(), thread_count(threads));
        });
        return py::make_tuple(moved(std::move(scores), {rows, best}),
                              moved(std::move(found), {rows, best}));
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("k"), py::arg("threads"));

  m.def(
      "scores",
      [](const py::array& features, const py::array& w, const py::array& b, const py::array& items,
         int threads) {
        const Catalogue c(features, w, b);
        const auto asked = array_of<std::int64_t>("items", items, 1);
        const std::ptrdiff_t rows = c.features.shape(0), n = asked.shape(0);
        c.expect_items("an item", asked);
        std::vector<float> scores(static_cast<std::size_t>(rows * n));
        unlocked([&] {
          kernels().score_items(c.features.data(), rows, c.w.shape(1), c.w.data(), c.b.data(),
                                asked.data(), n, scores.data(), thread_count(threads));
        });
        return moved(std::move(scores), {rows, n});
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("items"), py::arg("threads"));
}

void bind_adagrad(py::module_& m) {
  m.def(
      "sparse_adagrad",
      [](const py::array& theta, const py::array& a, const py::object& momentum_buffer,
         const py::object& rows, const py::array& g, float learning_rate, float momentum) {
        Parameter p;
        p.rows = theta.shape(0);
        p.columns = theta.ndim() == 2 ? theta.shape(1) : 1;
        p.value = in_place("theta", theta);
        set_state(p, "theta", a, momentum_buffer);
        const auto gradient = array_of<float>("g", g, theta.ndim());
        Array<std::int64_t> items;
        std::ptrdiff_t n = p.rows;
        const std::int64_t* first = nullptr;
        if (!rows.is_none()) {
          items = array_of<std::int64_t>("rows", py::cast<py::array>(rows), 1);
          n = items.size();
          first = items.data();
          if (std::any_of(first, first + n,
                          [&](std::int64_t row) { return row < 0 || row >= p.rows; })) {
            throw std::invalid_argument("a row is outside theta; expected 0.." +
                                        std::to_string(p.rows - 1));
          }
        }
        expect(gradient.size() == n * p.columns, "g", gradient, n, p.columns);
        unlocked(
            [&] { kernels().update_rows(p, first, n, gradient.data(), learning_rate, momentum); });
      },
      py::arg("theta"), py::arg("a"), py::arg("m"), py::arg("rows"), py::arg("g"),
      py::arg("learning_rate"), py::arg("momentum"));
}

void bind_instruction_sets(py::module_& m) {
  m.def(
      "advise_huge_pages",
      [](const py::array& array) {
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
        const std::vector<std::string> names = {"exp", "logistic", "tanh", "log",
                                                "reciprocal_root"};
        const auto found = std::find(names.begin(), names.end(), function);
        if (found == names.end()) {
          throw std::invalid_argument("function is '" + function +
                                      "'; expected exp, logistic, tanh, log or reciprocal_root");
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

}  // namespace

void bind_engine(py::module_& m) {
  m.def("train_block", &train_block_of, py::arg("parameters"), py::arg("accumulators"),
        py::arg("momenta"), py::arg("states"), py::arg("block"), py::arg("support"),
        py::arg("config"), py::arg("threads"));
  bind_scans(m);
  bind_adagrad(m);
  bind_instruction_sets(m);
}

}  // namespace gru4rec_fast
