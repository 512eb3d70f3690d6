// Losses, activations, cells and optimisers by name, with their options.
#pragma once

#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "engine/parts.h"

namespace gru4rec_fast {

// A part's index among those of engine/kernels.h, and what describes it.
template <class Kind>
struct Part {
  int index;
  const Kind* kind;
};

// Throw std::invalid_argument, with the known names, for any other.
Part<LossKind> find_loss(const std::string& name);
Part<CellKind> find_cell(const std::string& name);
Part<OptimiserKind> find_optimiser(const std::string& name);

// The activation of this name; throws std::invalid_argument for any other number of parameters than
// it takes.
ActivationSettings find_activation(const std::string& name, const std::vector<double>& parameters);

// The values of the part's options. Throws std::invalid_argument where one is missing, and for an
// option that no part of its kind has; options of other parts are ignored.
OptionValues loss_options(const LossKind& kind, const py::dict& options);
OptionValues optimiser_options(const OptimiserKind& kind, const py::dict& options);

}  // namespace gru4rec_fast
