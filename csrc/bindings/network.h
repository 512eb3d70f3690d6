// A network from its structure in Python (gru4rec_fast.spec.NetworkSpec) and its parameters.
#pragma once

#include <vector>

#include "bindings/parameters.h"
#include "engine/network.h"

namespace gru4rec_fast {

// The layers, from the input up. Throws std::invalid_argument for an unknown cell or activation,
// and where a size does not fit.
std::vector<Layer> make_layers(const py::object& spec, ParameterArrays& parameters);

// The network of these layers, which it borrows; throws likewise.
Network make_network(const py::object& spec, ParameterArrays& parameters,
                     const std::vector<Layer>& layers);

}  // namespace gru4rec_fast
