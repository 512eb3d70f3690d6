// The item rows of a catalogue as arguments.
#pragma once

#include <algorithm>
#include <string>

#include "bindings/arrays.h"
#include "engine/network.h"

namespace gru4rec_fast {

// w (V x H) and b (V x 1).
struct ItemRows {
  py::array rows;
  Array<float> b;
  ItemTable w;

  // w is float32, or where `half` may be, uint16: the bits of bfloat16.
  ItemRows(const py::array& w_of, const py::array& b_of, bool half = true)
      : b(array_of<float>("b", b_of, 2)) {
    if (half && py::isinstance<py::array_t<std::uint16_t>>(w_of)) {
      const auto of_half = array_of<std::uint16_t>("w", w_of, 2);
      w.half = of_half.data();
      rows = of_half;
    } else {
      const auto of_float = array_of<float>("w", w_of, 2);
      w.w = of_float.data();
      rows = of_float;
    }
    expect(b.shape(0) == items() && b.shape(1) == 1, "b", b, items(), 1);
  }

  std::ptrdiff_t items() const { return rows.shape(0); }
  std::ptrdiff_t units() const { return rows.shape(1); }

  Array<float> features(const py::array& features_of) const {
    auto features = array_of<float>("features", features_of, 2);
    expect(features.shape(1) == units(), "features", features, features.shape(0), units());
    return features;
  }

  // Items (n) of the catalogue; `what` names one of them.
  Array<std::int64_t> chosen(const char* name, const py::array& items_of,
                             const std::string& what) const {
    auto items_array = array_of<std::int64_t>(name, items_of, 1);
    const auto n_items = items();
    const auto outside = [&](std::int64_t item) { return item < 0 || item >= n_items; };
    if (std::any_of(items_array.data(), items_array.data() + items_array.size(), outside)) {
      throw std::invalid_argument(what + " is outside the catalogue; expected items of 0.." +
                                  std::to_string(n_items - 1));
    }
    return items_array;
  }

  // One target for each row of features.
  Array<std::int64_t> targets(const py::array& targets_of, std::ptrdiff_t rows) const {
    auto found = chosen("targets", targets_of, "a target");
    expect(found.shape(0) == rows, "targets", found, rows, 1);
    return found;
  }

  // min(k, V).
  std::ptrdiff_t best(std::int64_t k) const {
    if (k < 0) throw std::invalid_argument("k is " + std::to_string(k) + "; expected >= 0");
    return std::min<std::ptrdiff_t>(k, items());
  }
};

// A pair of arrays as Python gets it.
template <class T, class U>
py::tuple pair_of(std::vector<T> first, std::vector<U> second, std::vector<py::ssize_t> shape) {
  return py::make_tuple(moved(std::move(first), shape), moved(std::move(second), shape));
}

}  // namespace gru4rec_fast
