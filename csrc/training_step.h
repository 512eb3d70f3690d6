// One training step of GRU4Rec on the CPU, and the block of planned steps that Python hands over at
// once. What is computed: spec sections 3 to 6, as `reference.py` writes it; float32 throughout.
//
// Letters: B lanes, M live lanes, U unique rows of a step, H units, K inputs of a layer, V items.
// All matrices are row-major, and contiguous but for the state of parameters. Parameters are
// borrowed and updated in place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gru4rec_fast {

// A parameter (rows x columns) with its Adagrad state, whose rows are state_stride floats apart;
// `momentum` is null without momentum.
struct Parameter {
  float* value = nullptr;
  float* accumulator = nullptr;
  float* momentum = nullptr;
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t columns = 0;
  std::ptrdiff_t state_stride = 0;
};

// Reset after the product: w_ih (3H x K), w_hh (3H x H), b_ih, b_hh (3H), gates in the order reset,
// update, new. Reset before it, the one-hot first cell, `reset_before`: w_hh is Wrz0 (H x 2H),
// gates reset, update; w_h is Wh0 (H x H), b_ih is Bh0 (3H) and the input a row of Wx0 (V x 3H),
// gates new, reset, update.
struct Cell {
  bool reset_before = false;
  std::ptrdiff_t inputs = 0;
  std::ptrdiff_t units = 0;
  Parameter w_ih, w_hh, w_h, b_ih, b_hh;
};

// wy (V x H), by (V); input is E (V x K) or Wx0 (V x 3H), or wy itself when `shared`.
struct Network {
  Parameter wy, by, input;
  bool shared = false;
  const Cell* cells = nullptr;
  int n_cells = 0;
};

enum class Loss { kCrossEntropy, kBprMax };

struct Settings {
  Loss loss = Loss::kCrossEntropy;
  std::ptrdiff_t batch_size = 0;  // the B that a step's loss is divided by
  double dropout_embed = 0, dropout_hidden = 0;
  float learning_rate = 0, momentum = 0;
  float bpreg = 0, elu = 0;
  float logq = 0, alpha = 0;
  std::uint64_t seed = 0;
  const std::int64_t* support = nullptr;  // (V,) events per item; read only with logq
};

// What a step reads of its plan (LaneBlock and MergedRows of _core.pyi), rows of the block's
// arrays.
struct StepPlan {
  std::uint64_t step;
  std::ptrdiff_t live;
  const std::uint8_t* restarts;
  const std::int32_t* source;
  const std::int32_t* rows;
  const std::int32_t* target_count;
  const std::int32_t* sample_count;
  const std::int32_t* target_row;
  const std::int32_t* input_row;
  std::ptrdiff_t scored;
  std::ptrdiff_t touched;
};

struct BlockPlan {
  std::uint64_t first_step = 0;
  std::ptrdiff_t steps = 0, lanes = 0, width = 0;  // T, B, U of the widest step
  const std::uint8_t* restarts = nullptr;          // (T, B)
  const std::int32_t* source = nullptr;            // (T, B)
  const std::int32_t* live = nullptr;              // (T,)
  const std::int32_t* rows = nullptr;              // (T, U)
  const std::int32_t* target_count = nullptr;      // (T, U)
  const std::int32_t* sample_count = nullptr;      // (T, U)
  const std::int32_t* target_row = nullptr;        // (T, B)
  const std::int32_t* input_row = nullptr;         // (T, B)
  const std::int32_t* scored = nullptr;            // (T,)
  const std::int32_t* touched = nullptr;           // (T,)

  // Inlined by force, see simd.h.
  __attribute__((always_inline)) StepPlan at(std::ptrdiff_t t) const {
    return {first_step + static_cast<std::uint64_t>(t),
            live[t],
            restarts + t * lanes,
            source + t * lanes,
            rows + t * width,
            target_count + t * width,
            sample_count + t * width,
            target_row + t * lanes,
            input_row + t * lanes,
            scored[t],
            touched[t]};
  }
};

// State of one layer: `value` has room for (lanes x units) and holds `rows` rows, before the
// block those of the step before it, afterwards those of its last step.
struct LayerState {
  float* value = nullptr;
  std::ptrdiff_t rows = 0;
};

// Trains the steps of `plan`; `states` has one entry a cell, `losses` is (T,). Equal results for
// every number of threads. The caller has checked shapes, and that indices are inside their tables.
using TrainBlock = void(const Network& network, const Settings& settings, const BlockPlan& plan,
                        LayerState* states, float* losses, int threads);

}  // namespace gru4rec_fast
