// Python bindings of ranks, best items, and scores of chosen items.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {
namespace {

// The arguments that all three functions take: features (R x H), w (V x H), b (V x 1).
struct Catalogue {
  Array<float> features, w, b;

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

}  // namespace

void bind_ranks(py::module_& m) {
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
      "item_scores",
      [](const py::array& features, const py::array& w, const py::array& b, const py::array& items,
         int threads) {
        const Catalogue c(features, w, b);
        const auto asked = array_of<std::int64_t>("items", items, 1);
        const std::ptrdiff_t rows = c.features.shape(0), n = asked.shape(0);
        c.expect_items("an item", asked);
        std::vector<float> scores(static_cast<std::size_t>(rows * n));
        unlocked([&] {
          kernels().item_scores(c.features.data(), rows, c.w.shape(1), c.w.data(), c.b.data(),
                                asked.data(), n, scores.data(), thread_count(threads));
        });
        return moved(std::move(scores), {rows, n});
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("items"), py::arg("threads"));
}

}  // namespace gru4rec_fast
