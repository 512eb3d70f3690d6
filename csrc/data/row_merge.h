// The columns (M targets, then S negatives) and the inputs of each step as unique rows.
//
// Scores of a repeated item are equal, so a loss over unique rows with multiplicities is exact,
// each row is read once, and the row update needs no sorting. Scored rows come first, in order of
// first appearance among the columns; rows that are only read as inputs follow, in lane order.
//
// A hash table finds the unique rows of a step (data/row_index.h) and stays in the cache. Nothing
// is sorted, and no memory depends on V.
#pragma once

#include <cstdint>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

// Padding beyond touched[t] holds row 0 and counts 0; dead lanes hold -1.
struct MergedRows {
  std::int64_t steps;                      // T
  std::int64_t lanes;                      // B
  std::int64_t width;                      // U, the largest `touched`
  std::vector<std::int32_t> rows;          // (T, U) unique items
  std::vector<std::int32_t> target_count;  // (T, U) how many targets are this item
  std::vector<std::int32_t> sample_count;  // (T, U) how many negatives are this item
  std::vector<std::int32_t> target_row;    // (T, B) place of each lane's target in the step's rows
  std::vector<std::int32_t> input_row;     // (T, B) place of each lane's input in the step's rows
  std::vector<std::int32_t> scored;        // (T,) rows that have a score
  std::vector<std::int32_t> touched;       // (T,) rows that are scored or read as input
};

// inputs and targets (T, B), live (T,), negatives (T, S), all row-major; T = live.size().
// Throws std::invalid_argument for sizes that do not fit together, live[t] outside 0..B and
// negative item codes.
MergedRows merge_rows(Span<std::int32_t> inputs, Span<std::int32_t> targets,
                      Span<std::int32_t> live, Span<std::int32_t> negatives, std::int64_t lanes,
                      std::int64_t samples);

}  // namespace gru4rec_fast
