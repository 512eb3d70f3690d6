// A block of planned steps, as Python hands it over: rows of the arrays that data/lane_scheduler.h
// and data/row_merge.h make.
//
// Letters: T steps, B lanes, U unique rows of the widest step.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gru4rec_fast {

// What one step reads of its block. M = live lanes.
struct PlannedStep {
  std::uint64_t step;  // its number, counted through all epochs
  std::ptrdiff_t live;
  std::ptrdiff_t first_lane;         // lanes of the step that other processes compute before these
  const std::uint8_t* restarts;      // (M)
  const std::int32_t* source;        // (M)
  const std::int32_t* rows;          // (touched) unique items
  const std::int32_t* target_count;  // (touched)
  const std::int32_t* sample_count;  // (touched)
  const std::int32_t* target_row;    // (M) index into `rows`
  const std::int32_t* input_row;     // (M) index into `rows`
  std::ptrdiff_t scored;             // the first rows, which have a score
  std::ptrdiff_t touched;            // scored rows, then those that are inputs only
};

struct StepBlock {
  std::uint64_t first_step = 0;
  std::ptrdiff_t steps = 0, lanes = 0, width = 0;  // T, B, U
  std::ptrdiff_t first_lane = 0;                   // of all steps, as in PlannedStep
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
  const double* learning_rate = nullptr;           // (T,) or null for the optimiser's own

  // Force-inlined: see csrc/isa/README.md.
  __attribute__((always_inline)) PlannedStep at(std::ptrdiff_t t) const {
    return {first_step + static_cast<std::uint64_t>(t),
            live[t],
            first_lane,
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

}  // namespace gru4rec_fast
