// A network as plain structs: parameters with their optimiser state, layers, tables.
//
// Letters: V items, K inputs of a layer, H its units. All matrices are row-major. Parameters are
// borrowed, contiguous, and updated in place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/bf16_kernels.h"
#include "engine/parts.h"

namespace gru4rec_fast {

// One state table of an optimiser, as the accumulators of a parameter: row i begins at
// first + i * stride. It has the parameter's columns, or one number for a row of a matrix.
// `first` is null where the optimiser keeps fewer tables.
struct StateTable {
  float* first = nullptr;
  std::ptrdiff_t stride = 0;
  std::ptrdiff_t columns = 0;
};

// A parameter (rows x columns) with its optimiser state. A vector of n that is updated as a whole
// is (1 x n); one of which a step updates some elements, as the item biases, is (n x 1).
struct Parameter {
  float* value = nullptr;
  std::uint16_t* half = nullptr;  // an item table in bfloat16, instead of `value`
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t columns = 0;
  StateTable state[kMaxStateTables];
};

// The item rows (V x H) that scores are made of: float32, or where w is null, bfloat16.
struct ItemTable {
  const float* w = nullptr;
  const std::uint16_t* half = nullptr;
};

// Where dropout is applied: the number of its random stream, and the probability, 0 for none.
struct DropoutSite {
  int number = 0;
  double rate = 0;
};

// A recurrent layer, or a feed-forward layer after the last of them. `cell` is an index into the
// cells of kernels.h; the weights have the order and the shapes of that cell's CellKind.
struct Layer {
  int cell = 0;
  std::ptrdiff_t inputs = 0;  // K; of a one-hot input the columns of its table
  std::ptrdiff_t units = 0;
  bool one_hot = false;  // whether an input is a row of a table of products with the gates' weights
  DropoutSite dropout;   // of the new state, which is handed on and carried
  ActivationSettings activation;  // where the cell lets one choose it
  Products products;              // float32, unless a training step says otherwise
  Parameter input_weight;         // unless the input is one-hot
  Parameter weights[kMaxWeights];
};

// Output table wy (V x H) and biases by (V x 1); `input` is the table that inputs are read from,
// (V x K) of the first layer: wy itself when `shared`. Layers from the input up.
struct Network {
  Parameter wy, by, input;
  bool shared = false;
  DropoutSite input_dropout;  // of the rows that are read; not with a one-hot input
  const Layer* layers = nullptr;
  int n_layers = 0;
};

}  // namespace gru4rec_fast
