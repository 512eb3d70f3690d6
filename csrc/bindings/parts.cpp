#include "bindings/parts.h"

#include <pybind11/stl.h>

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {
namespace {

template <class Kind>
using Table = const Kind* (*)(int index);

template <class Kind>
std::vector<std::string> names(Table<Kind> table) {
  std::vector<std::string> found;
  for (int i = 0; table(i) != nullptr; ++i) found.emplace_back(table(i)->name);
  return found;
}

template <class Strings>
std::string joined(const Strings& strings) {
  std::string text;
  for (const std::string& string : strings) text += (text.empty() ? "" : ", ") + string;
  return text;
}

template <class Kind>
Part<Kind> find(const char* what, Table<Kind> table, const std::string& name) {
  for (int i = 0; table(i) != nullptr; ++i) {
    if (name == table(i)->name) return {i, table(i)};
  }
  throw std::invalid_argument(std::string(what) + " is '" + name + "'; the CPU engine has " +
                              joined(names(table)));
}

template <class Kind>
OptionValues values_of(const char* what, Table<Kind> table, const Kind& kind,
                       const py::dict& options) {
  std::set<std::string> known;
  for (int i = 0; table(i) != nullptr; ++i) {
    for (const char* const* name = table(i)->options; *name != nullptr; ++name) known.insert(*name);
  }
  for (const auto& option : options) {
    const auto name = py::str(option.first).cast<std::string>();
    if (known.count(name) == 0) {
      throw std::invalid_argument(std::string(what) + "_options holds '" + name + "'; expected " +
                                  joined(known));
    }
  }
  OptionValues values;
  double* value = values.value;
  for (const char* const* name = kind.options; *name != nullptr; ++name) {
    if (!options.contains(*name)) {
      throw std::invalid_argument(std::string(what) + "_options holds no '" + *name + "', which '" +
                                  kind.name + "' needs");
    }
    *value++ = options[*name].cast<double>();
  }
  return values;
}

}  // namespace

Part<LossKind> find_loss(const std::string& name) {
  return find("loss", kernels().loss, name);
}

Part<CellKind> find_cell(const std::string& name) {
  return find("cell", kernels().cell, name);
}

Part<OptimiserKind> find_optimiser(const std::string& name) {
  return find("optimiser", kernels().optimiser, name);
}

ActivationSettings find_activation(const std::string& name, const std::vector<double>& parameters) {
  const auto part = find("activation", kernels().activation, name);
  const auto expected = static_cast<std::size_t>(part.kind->parameters);
  if (parameters.size() != expected) {
    throw std::invalid_argument("activation '" + name + "' has " +
                                std::to_string(parameters.size()) + " parameters; expected " +
                                std::to_string(expected));
  }
  ActivationSettings settings;
  settings.kind = part.index;
  for (std::size_t k = 0; k < expected; ++k) {
    settings.parameters[k] = static_cast<float>(parameters[k]);
  }
  return settings;
}

OptionValues loss_options(const LossKind& kind, const py::dict& options) {
  return values_of("loss", kernels().loss, kind, options);
}

OptionValues optimiser_options(const OptimiserKind& kind, const py::dict& options) {
  return values_of("optimiser", kernels().optimiser, kind, options);
}

void bind_parts(py::module_& m) {
  m.def("losses", [] { return names(kernels().loss); });
  m.def("activations", [] { return names(kernels().activation); });
  m.def("cells", [] {
    std::vector<std::string> recurrent;
    for (int i = 0; kernels().cell(i) != nullptr; ++i) {
      if (kernels().cell(i)->states > 0) recurrent.emplace_back(kernels().cell(i)->name);
    }
    return recurrent;
  });
  m.def("optimisers", [] {
    std::map<std::string, int> tables;
    for (int i = 0; kernels().optimiser(i) != nullptr; ++i) {
      const OptimiserKind& kind = *kernels().optimiser(i);
      int n = 0;
      while (kind.tables[n].name != nullptr) ++n;
      tables[kind.name] = n;
    }
    return tables;
  });
}

}  // namespace gru4rec_fast
