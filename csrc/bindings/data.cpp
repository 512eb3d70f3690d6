// Python bindings of csrc/data/. Types and shapes are checked here, values there.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "data/dropout_mask.h"
#include "data/lane_scheduler.h"
#include "data/negative_sampler.h"
#include "data/philox.h"
#include "data/row_merge.h"
#include "data/session_permutation.h"
#include "data/session_store.h"

namespace gru4rec_fast {
namespace {

std::uint32_t word_of(const char* name, const py::object& value) {
  const std::uint64_t number = unsigned_of(name, value);
  if (number > UINT32_MAX) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(number) +
                                "; expected an integer of 0..2^32-1");
  }
  return static_cast<std::uint32_t>(number);
}

// A view of `values`, which live as long as `owner`.
template <class T>
py::array_t<T> view(const std::vector<T>& values, std::vector<py::ssize_t> shape,
                    const py::object& owner) {
  return py::array_t<T>(std::move(shape), values.data(), owner);
}

template <class T>
py::array_t<T> read_only_view(const std::vector<T>& values, const py::object& owner) {
  auto array = view(values, {static_cast<py::ssize_t>(values.size())}, owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

// Defines a read-only property that views the vector `member` of a block as (steps,
// columns(block)).
template <class Block, class T, class Columns>
void matrix(py::class_<Block>& type, const char* name, std::vector<T> Block::* member,
            Columns columns) {
  type.def_property_readonly(name, [member, columns](const py::object& self) {
    const auto& block = self.cast<const Block&>();
    return view(block.*member, {block.steps, columns(block)}, self);
  });
}

template <class Block, class T>
void column(py::class_<Block>& type, const char* name, std::vector<T> Block::* member) {
  type.def_property_readonly(name, [member](const py::object& self) {
    const auto& block = self.cast<const Block&>();
    return view(block.*member, {block.steps}, self);
  });
}

// A scheduler together with the arrays it borrows.
struct OwnedScheduler {
  Array<std::int32_t> items;
  Array<std::int64_t> offsets;
  Array<std::int64_t> order;  // empty for a computed one
  std::unique_ptr<LaneScheduler> scheduler;
};

void bind_session_store(py::module_& m) {
  py::class_<SessionStore>(m, "SessionStore")
      .def(py::init([](const py::array& session, const py::array& item, const py::array& time,
                       std::int64_t n_sessions) {
             const auto sessions = array_of<std::int64_t>("session", session, 1);
             const auto items = array_of<std::int32_t>("item", item, 1);
             if (py::isinstance<py::array_t<double>>(time)) {
               const auto times = array_of<double>("time", time, 1);
               return unlocked([&] {
                 return std::make_unique<SessionStore>(span(sessions), span(items), span(times),
                                                       n_sessions);
               });
             }
             const auto times = array_of<std::int64_t>("time", time, 1);
             return unlocked([&] {
               return std::make_unique<SessionStore>(span(sessions), span(items), span(times),
                                                     n_sessions);
             });
           }),
           py::arg("session"), py::arg("item"), py::arg("time"), py::arg("n_sessions"))
      .def_property_readonly("items",
                             [](const py::object& self) {
                               return read_only_view(self.cast<const SessionStore&>().items(),
                                                     self);
                             })
      .def_property_readonly("offsets",
                             [](const py::object& self) {
                               return read_only_view(self.cast<const SessionStore&>().offsets(),
                                                     self);
                             })
      .def_property_readonly("rows",
                             [](const py::object& self) {
                               return read_only_view(self.cast<const SessionStore&>().rows(), self);
                             })
      .def("order_by_time",
           [](const SessionStore& store) {
             auto order = unlocked([&] { return store.order_by_time(); });
             const auto n = static_cast<py::ssize_t>(order.size());
             return moved(std::move(order), {n});
           })
      .def("order_by_appearance", [](const SessionStore& store) {
        auto order = unlocked([&] { return store.order_by_appearance(); });
        const auto n = static_cast<py::ssize_t>(order.size());
        return moved(std::move(order), {n});
      });
}

void bind_lane_scheduler(py::module_& m) {
  py::class_<LaneBlock> block(m, "LaneBlock");
  const auto lanes = [](const LaneBlock& b) { return b.lanes; };
  matrix(block, "inputs", &LaneBlock::inputs, lanes);
  matrix(block, "targets", &LaneBlock::targets, lanes);
  matrix(block, "restarts", &LaneBlock::restarts, lanes);
  matrix(block, "source", &LaneBlock::source, lanes);
  matrix(block, "events", &LaneBlock::events, lanes);
  column(block, "live", &LaneBlock::live);

  py::class_<SessionPermutation>(m, "SessionPermutation")
      .def(py::init([](std::int64_t n, const py::object& seed, const py::object& epoch) {
             return SessionPermutation(n, unsigned_of("seed", seed), unsigned_of("epoch", epoch));
           }),
           py::arg("n"), py::arg("seed"), py::arg("epoch"))
      .def("__len__", &SessionPermutation::size)
      .def("__getitem__", [](const SessionPermutation& permutation, std::int64_t place) {
        if (place < 0 || place >= permutation.size()) {
          throw py::index_error("place " + std::to_string(place) + " is outside 0.." +
                                std::to_string(permutation.size() - 1));
        }
        return permutation[place];
      });

  py::class_<OwnedScheduler>(m, "LaneScheduler")
      .def(py::init([](const py::array& items, const py::array& offsets,
                       const SessionPermutation& order, std::int64_t n_lanes,
                       std::int64_t min_live) {
             OwnedScheduler owned{array_of<std::int32_t>("items", items, 1),
                                  array_of<std::int64_t>("offsets", offsets, 1),
                                  Array<std::int64_t>(), nullptr};
             owned.scheduler = unlocked([&] {
               return std::make_unique<LaneScheduler>(span(owned.items), span(owned.offsets), order,
                                                      n_lanes, min_live);
             });
             return owned;
           }),
           py::arg("items"), py::arg("offsets"), py::arg("order"), py::arg("lanes"),
           py::arg("min_live") = 1)
      .def(py::init([](const py::array& items, const py::array& offsets, const py::array& order,
                       std::int64_t n_lanes, std::int64_t min_live) {
             OwnedScheduler owned{array_of<std::int32_t>("items", items, 1),
                                  array_of<std::int64_t>("offsets", offsets, 1),
                                  array_of<std::int64_t>("order", order, 1), nullptr};
             owned.scheduler = unlocked([&] {
               return std::make_unique<LaneScheduler>(span(owned.items), span(owned.offsets),
                                                      span(owned.order), n_lanes, min_live);
             });
             return owned;
           }),
           py::arg("items"), py::arg("offsets"), py::arg("order"), py::arg("lanes"),
           py::arg("min_live") = 1)
      .def(
          "plan",
          [](OwnedScheduler& self, std::int64_t steps) {
            return unlocked(
                [&] { return std::make_unique<LaneBlock>(self.scheduler->plan(steps)); });
          },
          py::arg("steps"));
}

void bind_negative_sampler(py::module_& m) {
  py::class_<NegativeSampler>(m, "NegativeSampler")
      .def(py::init([](const py::array& weights) {
             const auto weight = array_of<double>("weights", weights, 1);
             return unlocked([&] { return std::make_unique<NegativeSampler>(span(weight)); });
           }),
           py::arg("weights"))
      .def_property_readonly("probabilities",
                             [](const NegativeSampler& sampler) {
                               auto p = unlocked([&] { return sampler.probabilities(); });
                               return moved(std::move(p), {sampler.size()});
                             })
      .def(
          "draw",
          [](const NegativeSampler& sampler, const py::object& seed, const py::object& first_step,
             std::int64_t steps, std::int64_t n) {
            const std::uint64_t key = unsigned_of("seed", seed);
            const std::uint64_t step = unsigned_of("first_step", first_step);
            auto items = unlocked([&] { return sampler.draw(key, step, steps, n); });
            return moved(std::move(items), {steps, n});
          },
          py::arg("seed"), py::arg("first_step"), py::arg("steps"), py::arg("n"));
}

void bind_row_merge(py::module_& m) {
  py::class_<MergedRows> merged(m, "MergedRows");
  const auto unique = [](const MergedRows& rows) { return rows.width; };
  const auto lanes = [](const MergedRows& rows) { return rows.lanes; };
  matrix(merged, "rows", &MergedRows::rows, unique);
  matrix(merged, "target_count", &MergedRows::target_count, unique);
  matrix(merged, "sample_count", &MergedRows::sample_count, unique);
  matrix(merged, "target_row", &MergedRows::target_row, lanes);
  matrix(merged, "input_row", &MergedRows::input_row, lanes);
  column(merged, "scored", &MergedRows::scored);
  column(merged, "touched", &MergedRows::touched);

  m.def(
      "merge_rows",
      [](const py::array& inputs, const py::array& targets, const py::array& live,
         const py::array& negatives) {
        const auto input = array_of<std::int32_t>("inputs", inputs, 2);
        const auto target = array_of<std::int32_t>("targets", targets, 2);
        const auto n_live = array_of<std::int32_t>("live", live, 1);
        const auto negative = array_of<std::int32_t>("negatives", negatives, 2);
        return unlocked([&] {
          return std::make_unique<MergedRows>(merge_rows(span(input), span(target), span(n_live),
                                                         span(negative), input.shape(1),
                                                         negative.shape(1)));
        });
      },
      py::arg("inputs"), py::arg("targets"), py::arg("live"), py::arg("negatives"));
}

void bind_random(py::module_& m) {
  m.def(
      "dropout_mask",
      [](const py::object& seed, const py::object& step, std::int64_t site, std::int64_t rows,
         std::int64_t columns, double p) {
        const std::uint64_t key = unsigned_of("seed", seed);
        const std::uint64_t counter = unsigned_of("step", step);
        auto mask = unlocked([&] { return dropout_mask(key, counter, site, rows, columns, p); });
        return moved(std::move(mask), {rows, columns});
      },
      py::arg("seed"), py::arg("step"), py::arg("site"), py::arg("rows"), py::arg("columns"),
      py::arg("p"));

  m.def(
      "philox4x32",
      [](const py::object& key, const std::array<py::object, 4>& counter) {
        const PhiloxBlock block =
            philox4x32(unsigned_of("key", key),
                       {word_of("counter[0]", counter[0]), word_of("counter[1]", counter[1]),
                        word_of("counter[2]", counter[2]), word_of("counter[3]", counter[3])});
        return py::make_tuple(block[0], block[1], block[2], block[3]);
      },
      py::arg("key"), py::arg("counter"));
}

}  // namespace

void bind_data(py::module_& m) {
  bind_session_store(m);
  bind_lane_scheduler(m);
  bind_negative_sampler(m);
  bind_row_merge(m);
  bind_random(m);
}

}  // namespace gru4rec_fast
