#include "bindings/network.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "bindings/parts.h"
#include "engine/dispatch.h"

namespace gru4rec_fast {
namespace {

DropoutSite dropout_site(const py::object& site) {
  return {site.attr("number").cast<int>(), site.attr("rate").cast<double>()};
}

ActivationSettings activation_of(const py::object& spec) {
  const py::object activation = spec.attr("activation");
  return find_activation(activation.attr("name").cast<std::string>(),
                         activation.attr("parameters").cast<std::vector<double>>());
}

// The weights of a layer: the input's, unless it is one-hot, and those beside it.
void add_weights(const py::object& spec, const CellKind& kind, Layer& layer,
                 ParameterArrays& parameters) {
  const auto weights = spec.attr("weights").cast<py::dict>();
  const int expected = kind.weights + (layer.one_hot ? 0 : 1);
  if (weights.size() != static_cast<std::size_t>(expected)) {
    throw std::invalid_argument("a layer of " + std::string(kind.name) + " has " +
                                std::to_string(weights.size()) + " weights; expected " +
                                std::to_string(expected));
  }
  MatrixSize sizes[kMaxWeights];
  kind.weight_sizes(layer.units, sizes);
  int i = layer.one_hot ? 0 : -1;
  for (const auto& weight : weights) {
    const auto name = weight.first.cast<std::string>();
    if (i < 0) {
      layer.input_weight = parameters.get(name, {kind.gates * layer.units, layer.inputs});
    } else {
      layer.weights[i] = parameters.get(name, sizes[i]);
    }
    ++i;
  }
}

Layer make_layer(const py::object& spec, const std::string& cell_name, bool one_hot,
                 ParameterArrays& parameters) {
  const auto cell = find_cell(cell_name);
  Layer layer;
  layer.cell = cell.index;
  layer.inputs = spec.attr("inputs").cast<std::ptrdiff_t>();
  layer.units = spec.attr("units").cast<std::ptrdiff_t>();
  if (layer.units < 1 || layer.units > INT32_MAX) {
    throw std::invalid_argument("a layer has " + std::to_string(layer.units) +
                                " units; expected 1..2147483647");
  }
  layer.one_hot = one_hot;
  layer.dropout = dropout_site(spec.attr("dropout"));
  layer.activation = activation_of(spec);
  add_weights(spec, *cell.kind, layer, parameters);
  return layer;
}

// What layer l, without an input weight of its own, must get as input.
std::ptrdiff_t expected_inputs(const std::vector<Layer>& layers, std::size_t l) {
  const Layer& layer = layers[l];
  if (layer.one_hot) return kernels().cell(layer.cell)->gates * layer.units;
  return l > 0 ? layers[l - 1].units : layer.inputs;
}

}  // namespace

std::vector<Layer> make_layers(const py::object& spec, ParameterArrays& parameters) {
  std::vector<Layer> layers;
  const bool one_hot = spec.attr("one_hot").cast<bool>();
  for (const auto& layer : spec.attr("layers")) {
    layers.push_back(make_layer(py::reinterpret_borrow<py::object>(layer),
                                layer.attr("cell").cast<std::string>(), one_hot && layers.empty(),
                                parameters));
  }
  if (layers.empty()) throw std::invalid_argument("the network has no layers; expected one");
  for (const auto& layer : spec.attr("feed_forward")) {
    layers.push_back(
        make_layer(py::reinterpret_borrow<py::object>(layer), "feed-forward", false, parameters));
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const std::ptrdiff_t expected = expected_inputs(layers, l);
    if (layers[l].inputs != expected) {
      throw std::invalid_argument(
          "layer " + std::to_string(l) + " takes " + std::to_string(layers[l].inputs) +
          " inputs; expected " + std::to_string(expected) +
          (l == 0 ? ", its units times its cell's gates" : ", the units of the layer below"));
    }
  }
  return layers;
}

Network make_network(const py::object& spec, ParameterArrays& parameters,
                     const std::vector<Layer>& layers) {
  Network network;
  const auto items = spec.attr("n_items").cast<std::ptrdiff_t>();
  network.layers = layers.data();
  network.n_layers = static_cast<int>(layers.size());
  network.wy = parameters.table("Wy.weight", {items, layers.back().units});
  network.by = parameters.get("By.weight", {items, 1});
  network.input = parameters.table(spec.attr("input_table").cast<std::string>(),
                                   {items, layers.front().inputs});
  if ((network.wy.half != nullptr) != (network.input.half != nullptr)) {
    throw std::invalid_argument(
        "one of the item tables is bfloat16, and the other is not; expected both of one type");
  }
  network.shared = spec.attr("shared").cast<bool>();
  network.input_dropout = dropout_site(spec.attr("input_dropout"));
  return network;
}

}  // namespace gru4rec_fast
