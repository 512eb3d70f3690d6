// Python bindings of ranks, best items, and scores of chosen items.
#include <cstdint>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/item_rows.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {

void bind_ranks(py::module_& m) {
  m.def(
      "rank_counts",
      [](const py::array& features, const py::array& w, const py::array& b,
         const py::array& targets, int threads) {
        const ItemRows items(w, b);
        const auto f = items.features(features);
        const std::ptrdiff_t rows = f.shape(0);
        const auto target = items.targets(targets, rows);
        std::vector<std::int64_t> greater(static_cast<std::size_t>(rows));
        std::vector<std::int64_t> equal(greater.size());
        unlocked([&] {
          kernels().rank_counts(f.data(), rows, items.units(), items.w, items.b.data(),
                                items.items(), target.data(), greater.data(), equal.data(),
                                thread_count(threads));
        });
        return pair_of(std::move(greater), std::move(equal), {rows});
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("targets"), py::arg("threads"));

  m.def(
      "top_k",
      [](const py::array& features, const py::array& w, const py::array& b, std::int64_t k,
         int threads) {
        const ItemRows items(w, b);
        const auto f = items.features(features);
        const std::ptrdiff_t rows = f.shape(0), best = items.best(k);
        std::vector<float> scores(static_cast<std::size_t>(rows * best));
        std::vector<std::int64_t> found(scores.size());
        unlocked([&] {
          if (best == 0) return;
          kernels().top_k(f.data(), rows, items.units(), items.w, items.b.data(), items.items(),
                          best, scores.data(), found.data(), thread_count(threads));
        });
        return pair_of(std::move(scores), std::move(found), {rows, best});
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("k"), py::arg("threads"));

  m.def(
      "item_scores",
      [](const py::array& features, const py::array& w, const py::array& b, const py::array& items,
         int threads) {
        const ItemRows catalogue(w, b);
        const auto f = catalogue.features(features);
        const auto asked = catalogue.chosen("items", items, "an item");
        const std::ptrdiff_t rows = f.shape(0), n = asked.shape(0);
        std::vector<float> scores(static_cast<std::size_t>(rows * n));
        unlocked([&] {
          kernels().item_scores(f.data(), rows, catalogue.units(), catalogue.w, catalogue.b.data(),
                                asked.data(), n, scores.data(), thread_count(threads));
        });
        return moved(std::move(scores), {rows, n});
      },
      py::arg("features"), py::arg("w"), py::arg("b"), py::arg("items"), py::arg("threads"));
}

}  // namespace gru4rec_fast
