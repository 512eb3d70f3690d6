// Python bindings of what prepares a log: numbering ids, grouping events, reading plain text.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "data/event_partitions.h"
#include "data/id_numbering.h"
#include "data/integer_fields.h"

namespace gru4rec_fast {
namespace {

template <class T>
py::array_t<T> handed_over(std::vector<T> values) {
  const auto n = static_cast<py::ssize_t>(values.size());
  return moved(std::move(values), {n});
}

template <class T>
py::array_t<T> copied(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

void bind_numberings(py::module_& m) {
  py::class_<IntegerNumbering>(m, "IntegerNumbering")
      .def(py::init<>())
      .def("__len__", [](const IntegerNumbering& self) { return self.ids().size(); })
      .def(
          "number",
          [](IntegerNumbering& self, const py::array& ids) {
            const auto values = array_of<std::int64_t>("ids", ids, 1);
            return handed_over(unlocked([&] { return self.number(span(values)); }));
          },
          py::arg("ids"))
      .def_property_readonly("ids",
                             [](const IntegerNumbering& self) { return copied(self.ids()); });

  py::class_<TextNumbering>(m, "TextNumbering")
      .def(py::init<>())
      .def("__len__", [](const TextNumbering& self) { return self.offsets().size() - 1; })
      .def(
          "number",
          [](TextNumbering& self, const py::array& offsets, const py::array& bytes) {
            const auto ends = array_of<std::int64_t>("offsets", offsets, 1);
            const auto text = array_of<std::uint8_t>("bytes", bytes, 1);
            return handed_over(unlocked([&] { return self.number(span(ends), span(text)); }));
          },
          py::arg("offsets"), py::arg("bytes"))
      .def("sorted",
           [](const TextNumbering& self) {
             return handed_over(unlocked([&] { return self.sorted(); }));
           })
      .def_property_readonly("offsets",
                             [](const TextNumbering& self) { return copied(self.offsets()); })
      .def_property_readonly("bytes",
                             [](const TextNumbering& self) { return copied(self.bytes()); });
}

void bind_event_partitions(py::module_& m) {
  py::class_<EventPartitions>(m, "EventPartitions")
      .def(py::init<std::string, std::int64_t>(), py::arg("folder"), py::arg("memory"))
      .def(
          "add",
          [](EventPartitions& self, const py::array& session, const py::array& item,
             const py::array& time) {
            const auto sessions = array_of<std::int64_t>("session", session, 1);
            const auto items = array_of<std::int32_t>("item", item, 1);
            const auto times = array_of<std::int64_t>("time", time, 1);
            unlocked([&] { self.add(span(sessions), span(items), span(times)); });
          },
          py::arg("session"), py::arg("item"), py::arg("time"))
      .def(
          "relabel",
          [](EventPartitions& self, const py::array& label) {
            const auto labels = array_of<std::int64_t>("label", label, 1);
            unlocked([&] { self.relabel(span(labels)); });
          },
          py::arg("label"))
      .def("next",
           [](EventPartitions& self) {
             EventPart part = unlocked([&] { return self.next(); });
             return py::make_tuple(
                 handed_over(std::move(part.session)), handed_over(std::move(part.item)),
                 handed_over(std::move(part.time)), handed_over(std::move(part.row)));
           })
      .def_property_readonly("rows", &EventPartitions::rows)
      .def_property_readonly("spilled_bytes", &EventPartitions::spilled_bytes);
}

void bind_integer_fields(py::module_& m) {
  m.def(
      "read_integer_fields",
      [](const py::array& block, const std::string& separator,
         const std::vector<std::int64_t>& id_columns, std::int64_t time_column,
         std::int64_t n_columns) -> py::object {
        const auto text = array_of<std::uint8_t>("block", block, 1);
        if (separator.size() != 1 || std::strchr("\r\n\"", separator[0]) != nullptr) {
          throw std::invalid_argument("separator is '" + separator +
                                      "'; expected one ASCII character that ends no line and is "
                                      "no quote");
        }
        if (n_columns < 1) {
          throw std::invalid_argument("n_columns is " + std::to_string(n_columns) +
                                      "; expected at least 1");
        }
        const auto outside = [&](std::int64_t column) { return column < 0 || column >= n_columns; };
        if (std::any_of(id_columns.begin(), id_columns.end(), outside) ||
            (time_column != -1 && outside(time_column))) {
          throw std::invalid_argument("a column is outside the line; expected 0.." +
                                      std::to_string(n_columns - 1));
        }
        IntegerFields fields = unlocked([&] {
          return read_integer_fields(span(text), separator[0], id_columns, time_column, n_columns);
        });
        if (!fields.read) return py::none();
        py::list columns;
        for (auto& ids : fields.ids) columns.append(handed_over(std::move(ids)));
        if (time_column >= 0) {
          if (fields.times.empty() && !fields.decimal_times.empty()) {
            columns.append(handed_over(std::move(fields.decimal_times)));
          } else {
            columns.append(handed_over(std::move(fields.times)));
          }
        }
        return columns;
      },
      py::arg("block"), py::arg("separator"), py::arg("id_columns"), py::arg("time_column"),
      py::arg("n_columns"));
}

}  // namespace

void bind_preparation(py::module_& m) {
  bind_numberings(m);
  bind_event_partitions(m);
  bind_integer_fields(m);
}

}  // namespace gru4rec_fast
