// What the bindings must know of the parts that a training step is made of: losses, activations,
// cells and optimisers. The parts themselves are in csrc/isa/; kernels.h lists them.
#pragma once

#include <cstddef>

namespace gru4rec_fast {

inline constexpr int kMaxOptions = 8;
inline constexpr int kMaxCellStates = 2;
inline constexpr int kMaxWeights = 8;
inline constexpr int kMaxStateTables = 4;
inline constexpr int kMaxActivationParameters = 2;

// The values of a part's options, in the order of its option names.
struct OptionValues {
  double value[kMaxOptions] = {};
};

struct LossKind {
  const char* name;
  const char* options[kMaxOptions + 1];  // ends with null
};

struct ActivationKind {
  const char* name;
  int parameters;  // how many numbers it takes
};

// An activation by its index among those of kernels.h, 0 for linear, and its parameters.
struct ActivationSettings {
  int kind = 0;
  float parameters[kMaxActivationParameters] = {};
};

struct MatrixSize {
  std::ptrdiff_t rows, columns;
};

struct CellKind {
  const char* name;
  int gates;    // W, the input's weight, is (gates * H x K), or (V x gates * H) of a one-hot input
  int states;   // carried from step to step, each (lanes x H); the first is the output
  int weights;  // beside W
  // Their sizes for H units, vectors as (1 x n).
  void (*weight_sizes)(std::ptrdiff_t units, MatrixSize* sizes);
};

struct StateTableKind {
  const char* name;
  bool by_row;  // whether it has one number for a row of a matrix, else one for each element
};

struct OptimiserKind {
  const char* name;
  const char* options[kMaxOptions + 1];        // ends with null
  StateTableKind tables[kMaxStateTables + 1];  // its state tables; ends with a null name
  // How many of them it keeps with these options, the first ones.
  int (*count_tables)(const OptionValues& options);
};

}  // namespace gru4rec_fast
