// Python bindings of csrc/baselines; the end of gru4rec_fast/_core.pyi is its contract.
#include <algorithm>

#include "baselines/bpr_mf.h"
#include "baselines/item_similarity.h"
#include "baselines/session_index.h"
#include "baselines/session_knn.h"
#include "bindings/arrays.h"
#include "bindings/bindings.h"

namespace gru4rec_fast {
namespace {

Similarity similarity_of(const std::string& name) {
  if (name == "cosine") return Similarity::kCosine;
  if (name == "decay") return Similarity::kDecay;
  throw std::invalid_argument("similarity is '" + name + "'; expected 'cosine' or 'decay'");
}

// Rows (R, length) of sessions, with as many targets where there are some.
Array<std::int32_t> sessions_of(const py::array& sessions) {
  auto rows = array_of<std::int32_t>("sessions", sessions, 2);
  if (rows.shape(0) > 0 && rows.shape(1) == 0) {
    throw std::invalid_argument("sessions is " + describe(rows) +
                                "; expected at least one column, -1 behind the last event");
  }
  return rows;
}

void at_least(const char* name, std::int64_t value, std::int64_t least) {
  if (value < least) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) +
                                "; expected at least " + std::to_string(least));
  }
}

void bind_session_knn(py::module_& m) {
  py::class_<SessionKnn>(m, "SessionKnn")
      .def(py::init([](const py::array& items, const py::array& offsets, const py::array& order,
                       std::int64_t n_items, const std::string& similarity, bool match_weight,
                       bool idf, std::int64_t k, std::int64_t most_recent) {
             const auto item = array_of<std::int32_t>("items", items, 1);
             const auto offset = array_of<std::int64_t>("offsets", offsets, 1);
             const auto session = array_of<std::int64_t>("order", order, 1);
             const SessionKnnOptions options{similarity_of(similarity), match_weight, idf, k,
                                             most_recent};
             return unlocked([&] {
               return std::make_unique<SessionKnn>(span(item), span(offset), span(session), n_items,
                                                   options);
             });
           }),
           py::arg("items"), py::arg("offsets"), py::arg("order"), py::arg("n_items"),
           py::kw_only(), py::arg("similarity"), py::arg("match_weight"), py::arg("idf"),
           py::arg("k"), py::arg("m"))
      .def(
          "rank_counts",
          [](SessionKnn& self, const py::array& sessions, const py::array& targets) {
            const auto rows = sessions_of(sessions);
            const auto target = array_of<std::int64_t>("targets", targets, 1);
            if (rows.shape(0) != target.size()) {
              throw std::invalid_argument("targets has " + std::to_string(target.size()) +
                                          " entries; expected one for each of the " +
                                          std::to_string(rows.shape(0)) + " sessions");
            }
            auto counts =
                unlocked([&] { return self.rank_counts(span(rows), rows.shape(1), span(target)); });
            return py::make_tuple(moved(std::move(counts.greater), {target.size()}),
                                  moved(std::move(counts.equal), {target.size()}));
          },
          py::arg("sessions"), py::arg("targets"))
      .def(
          "top_k",
          [](SessionKnn& self, const py::array& sessions, std::int64_t k) {
            const auto rows = sessions_of(sessions);
            at_least("k", k, 0);
            auto best = unlocked([&] { return self.top_k(span(rows), rows.shape(1), k); });
            const auto columns = static_cast<py::ssize_t>(std::min(k, self.n_items()));
            return py::make_tuple(moved(std::move(best.scores), {rows.shape(0), columns}),
                                  moved(std::move(best.items), {rows.shape(0), columns}));
          },
          py::arg("sessions"), py::arg("k"))
      .def(
          "item_scores",
          [](SessionKnn& self, const py::array& sessions, const py::array& items) {
            const auto rows = sessions_of(sessions);
            const auto item = array_of<std::int64_t>("items", items, 1);
            auto scores =
                unlocked([&] { return self.item_scores(span(rows), rows.shape(1), span(item)); });
            return moved(std::move(scores), {rows.shape(0), item.size()});
          },
          py::arg("sessions"), py::arg("items"));
}

// The sessions in their own order, with all sessions of each item.
SessionIndex whole_index(const Array<std::int32_t>& items, const Array<std::int64_t>& offsets,
                         std::int64_t n_items) {
  std::vector<std::int64_t> order(
      static_cast<std::size_t>(std::max<py::ssize_t>(0, offsets.size() - 1)));
  for (std::size_t s = 0; s < order.size(); ++s) {
    order[s] = static_cast<std::int64_t>(order.size() - 1 - s);
  }
  return {span(items),
          span(offsets),
          {order.data(), static_cast<std::int64_t>(order.size())},
          n_items,
          INT32_MAX};
}

void bind_item_similarity(py::module_& m) {
  m.def(
      "similar_items",
      [](const py::array& items, const py::array& offsets, std::int64_t n_items,
         std::int64_t n_sims, double lmbd, double alpha) {
        const auto item = array_of<std::int32_t>("items", items, 1);
        const auto offset = array_of<std::int64_t>("offsets", offsets, 1);
        auto lists = unlocked(
            [&] { return similar_items(whole_index(item, offset, n_items), n_sims, lmbd, alpha); });
        const auto n = static_cast<py::ssize_t>(lists.items.size());
        const auto rows = static_cast<py::ssize_t>(lists.offsets.size());
        return py::make_tuple(moved(std::move(lists.offsets), {rows}),
                              moved(std::move(lists.items), {n}),
                              moved(std::move(lists.similarities), {n}));
      },
      py::arg("items"), py::arg("offsets"), py::arg("n_items"), py::arg("n_sims"), py::arg("lmbd"),
      py::arg("alpha"));
}

// A float32 matrix that is written in place.
float* writable(const char* name, py::array& array, std::int64_t rows, std::int64_t columns) {
  if (!py::isinstance<Array<float>>(array) || array.ndim() != 2 || array.shape(0) != rows ||
      array.shape(1) != columns || !array.writeable() || !is_aligned(array)) {
    throw std::invalid_argument(std::string(name) + " is " + describe(array) +
                                "; expected writable contiguous float32 of shape (" +
                                std::to_string(rows) + ", " + std::to_string(columns) + ")");
  }
  return static_cast<float*>(array.mutable_data());
}

void bind_bpr_mf(py::module_& m) {
  m.def(
      "train_bpr_mf",
      [](const py::array& items, const py::array& offsets, py::array session_factors,
         py::array item_factors, std::int64_t n_epochs, float learning_rate, float regularization,
         const py::object& seed) {
        const auto item = array_of<std::int32_t>("items", items, 1);
        const auto offset = array_of<std::int64_t>("offsets", offsets, 1);
        at_least("n_epochs", n_epochs, 0);
        const std::int64_t n_items = item_factors.ndim() == 2 ? item_factors.shape(0) : -1;
        const std::int64_t n_factors = item_factors.ndim() == 2 ? item_factors.shape(1) : -1;
        float* h = writable("item_factors", item_factors, n_items, n_factors);
        float* w = writable("session_factors", session_factors, offset.size() - 1, n_factors);
        const BprOptions options{n_factors, n_epochs, learning_rate, regularization,
                                 unsigned_of("seed", seed)};
        unlocked([&] {
          train_bpr_mf(whole_index(item, offset, n_items), w, h, options);
          return 0;
        });
      },
      py::arg("items"), py::arg("offsets"), py::arg("session_factors"), py::arg("item_factors"),
      py::kw_only(), py::arg("n_epochs"), py::arg("learning_rate"), py::arg("regularization"),
      py::arg("seed"));
}

}  // namespace

void bind_baselines(py::module_& m) {
  bind_session_knn(m);
  bind_item_similarity(m);
  bind_bpr_mf(m);
}

}  // namespace gru4rec_fast
