// Small random networks and blocks of steps, in memory of exactly their size.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/dispatch.h"

namespace gru4rec_fast {

using Floats = std::vector<float>;

inline std::mt19937 generator(1);

inline Floats random_floats(std::ptrdiff_t n) {
  std::uniform_real_distribution<float> uniform(-0.3f, 0.3f);
  Floats values(static_cast<std::size_t>(n));
  for (float& value : values) value = uniform(generator);
  return values;
}

inline int below(int n) {
  return std::uniform_int_distribution<int>(0, n - 1)(generator);
}

// Memory of exactly the parameter's size, so that an access beyond it is seen. The state tables of
// a matrix row lie side by side, those with one number a row by themselves.
struct OwnedParameter {
  Floats value, state, row_state;
  std::vector<std::uint16_t> half;  // instead of `value`, if there are any
  std::ptrdiff_t rows = 0, columns = 0;

  OwnedParameter() = default;
  OwnedParameter(std::ptrdiff_t r, std::ptrdiff_t c)
      : value(random_floats(r * c)), rows(r), columns(c) {}

  // Random numbers in bfloat16 of magnitudes near 0.1.
  void make_half() {
    half.resize(value.size());
    for (std::uint16_t& number : half) {
      number = static_cast<std::uint16_t>(0x3D80 + below(128) + 0x8000 * below(2));
    }
    Floats().swap(value);
  }

  // Once for each object: the state is zero at first.
  Parameter view(const OptimiserKind& kind, int tables) {
    Parameter p;
    if (half.empty()) {
      p.value = value.data();
    } else {
      p.half = half.data();
    }
    p.rows = rows;
    p.columns = columns;
    const std::ptrdiff_t numbers = rows > 1 ? 1 : columns;  // of a table by row
    const bool together = columns > 1 && rows > 1;
    std::ptrdiff_t wide = 0;
    for (int k = 0; k < tables; ++k) wide += kind.tables[k].by_row ? 0 : 1;
    state.assign(static_cast<std::size_t>(wide * rows * columns), 0.0f);
    row_state.assign(static_cast<std::size_t>(rows * numbers), 0.0f);
    for (int k = 0, place = 0; k < tables; ++k) {
      if (kind.tables[k].by_row) {
        p.state[k] = {row_state.data(), numbers, numbers};
        continue;
      }
      p.state[k].first = state.data() + place++ * (together ? columns : rows * columns);
      p.state[k].stride = together ? wide * columns : columns;
      p.state[k].columns = columns;
    }
    return p;
  }
};

template <class Kind>
int index_of(const Kind* (*table)(int), const std::string& name) {
  for (int i = 0; table(i) != nullptr; ++i) {
    if (name == table(i)->name) return i;
  }
  std::fprintf(stderr, "no part is named %s\n", name.c_str());
  std::exit(1);
}

// Copies its option values from pairs of name and value.
using Options = std::vector<std::pair<std::string, float>>;

inline OptionValues values_of(const char* const* names, const Options& options) {
  OptionValues values;
  for (int i = 0; names[i] != nullptr; ++i) {
    for (const auto& [name, value] : options) {
      if (name == names[i]) values.value[i] = value;
    }
  }
  return values;
}

enum class Embedding { kShared, kSeparate, kOneHot };

struct Model {
  OwnedParameter wy, by, input;
  std::vector<OwnedParameter> input_weights;         // of each layer
  std::vector<std::vector<OwnedParameter>> weights;  // beside them
  std::vector<Layer> layers;
  Network network;

  // A layer of each of the cells, by index; the last has `units` units, those below three more.
  Model(std::ptrdiff_t items, std::ptrdiff_t inputs, std::ptrdiff_t units,
        const std::vector<int>& cells, Embedding embedding)
      : wy(items, units), by(items, 1) {
    const bool first_is_one_hot = embedding == Embedding::kOneHot;
    std::ptrdiff_t width = embedding == Embedding::kShared ? units : inputs;
    for (const int cell : cells) {
      const bool last = layers.size() + 1 == cells.size();
      const bool one_hot = first_is_one_hot && layers.empty();
      const CellKind& kind = *kernels().cell(cell);
      Layer layer;
      layer.cell = cell;
      layer.units = last ? units : units + 3;
      layer.inputs = one_hot ? kind.gates * layer.units : width;
      layer.one_hot = one_hot;
      layer.dropout = {static_cast<int>(layers.size()) + 1, 0.3};
      layer.activation = {index_of(kernels().activation, "leaky"), {0.2f}};
      layers.push_back(layer);
      MatrixSize sizes[kMaxWeights];
      kind.weight_sizes(layer.units, sizes);
      input_weights.push_back(one_hot ? OwnedParameter()
                                      : OwnedParameter(kind.gates * layer.units, width));
      weights.emplace_back();
      for (int i = 0; i < kind.weights; ++i) {
        weights.back().emplace_back(sizes[i].rows, sizes[i].columns);
      }
      width = layer.units;
    }
    network.shared = embedding == Embedding::kShared;
    if (!network.shared) input = OwnedParameter(items, layers.front().inputs);
    if (!first_is_one_hot) network.input_dropout = {0, 0.2};
  }

  void make_half() {
    wy.make_half();
    if (!network.shared) input.make_half();
  }

  const Network& view(const TrainingSettings& settings) {
    const OptimiserKind& kind = *kernels().optimiser(settings.optimiser);
    const int tables = kind.count_tables(settings.optimiser_options);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      layers[l].input_weight = input_weights[l].view(kind, tables);
      for (std::size_t i = 0; i < weights[l].size(); ++i) {
        layers[l].weights[i] = weights[l][i].view(kind, tables);
      }
    }
    network.wy = wy.view(kind, tables);
    network.by = by.view(kind, tables);
    network.input = network.shared ? network.wy : input.view(kind, tables);
    network.layers = layers.data();
    network.n_layers = static_cast<int>(layers.size());
    return network;
  }
};

struct Block {
  std::vector<std::uint8_t> restarts;
  std::vector<std::int32_t> source, live, rows, targets, samples, target_row, input_row, scored,
      touched;
  StepBlock block;

  Block(int steps, int lanes, int n_scored, int items) {
    const int width = n_scored + 2;
    for (int t = 0; t < steps; ++t) {
      const int alive = t == steps - 1 ? lanes - 1 : lanes;
      std::vector<std::int32_t> permutation(static_cast<std::size_t>(items));
      for (int i = 0; i < items; ++i) permutation[static_cast<std::size_t>(i)] = i;
      std::shuffle(permutation.begin(), permutation.end(), generator);
      rows.insert(rows.end(), permutation.begin(), permutation.begin() + width);
      std::vector<std::int32_t> counts(static_cast<std::size_t>(width));
      for (int i = 0; i < lanes; ++i) {
        restarts.push_back(t == 0 || below(4) == 0);
        source.push_back(i);
        target_row.push_back(below(n_scored));
        input_row.push_back(below(width));
        if (i < alive) ++counts[static_cast<std::size_t>(target_row.back())];
      }
      targets.insert(targets.end(), counts.begin(), counts.end());
      for (int u = 0; u < width; ++u) {
        samples.push_back(u < n_scored ? 1 + below(2) : 0);
      }
      live.push_back(alive);
      scored.push_back(n_scored);
      touched.push_back(width);
    }
    block.steps = steps;
    block.lanes = lanes;
    block.width = width;
    block.restarts = restarts.data();
    block.source = source.data();
    block.live = live.data();
    block.rows = rows.data();
    block.target_count = targets.data();
    block.sample_count = samples.data();
    block.target_row = target_row.data();
    block.input_row = input_row.data();
    block.scored = scored.data();
    block.touched = touched.data();
  }
};

}  // namespace gru4rec_fast
