#include "data/row_merge.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "data/row_index.h"

namespace gru4rec_fast {
namespace {

void check_size(const char* name, std::int64_t size, std::int64_t steps, std::int64_t columns) {
  if (size != steps * columns) {
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(size) +
                                " elements; expected " + std::to_string(steps) + " steps of " +
                                std::to_string(columns) + ", pass the arrays of one block");
  }
}

std::int32_t checked_item(const char* name, std::int32_t item) {
  if (item < 0) {
    throw std::invalid_argument(std::string(name) + " hold item " + std::to_string(item) +
                                "; expected 0..2147483647, pass item indices");
  }
  return item;
}

// Narrows rows of `stride` elements, of which the first touched[t] count, to rows of `width`
// with zeros behind them. In place: row t moves to the left, and never beyond the start of t + 1.
void narrow(std::vector<std::int32_t>& values, std::size_t stride,
            const std::vector<std::int32_t>& touched, std::size_t width) {
  for (std::size_t t = 0; t < touched.size(); ++t) {
    const std::int32_t* from = values.data() + t * stride;
    std::int32_t* to = values.data() + t * width;
    std::fill(std::copy(from, from + touched[t], to), to + width, 0);
  }
  values.resize(touched.size() * width);
}

}  // namespace

MergedRows merge_rows(Span<std::int32_t> inputs, Span<std::int32_t> targets,
                      Span<std::int32_t> live, Span<std::int32_t> negatives, std::int64_t lanes,
                      std::int64_t samples) {
  const std::int64_t steps = live.size();
  check_size("inputs", inputs.size(), steps, lanes);
  check_size("targets", targets.size(), steps, lanes);
  check_size("negatives", negatives.size(), steps, samples);
  if (2 * lanes + samples > (std::int64_t{1} << 30)) {
    throw std::invalid_argument("a step has " + std::to_string(2 * lanes + samples) +
                                " items; expected at most 2^30, use fewer lanes or samples");
  }

  const auto B = static_cast<std::size_t>(lanes);
  const auto S = static_cast<std::size_t>(samples);
  const auto T = static_cast<std::size_t>(steps);
  const std::size_t most = 2 * B + S;
  MergedRows merged{steps, lanes, 0, {}, {}, {}, {}, {}, {}, {}};
  merged.target_row.assign(T * B, -1);
  merged.input_row.assign(T * B, -1);
  merged.scored.resize(T);
  merged.touched.resize(T);
  merged.rows.resize(T * most);
  merged.target_count.resize(T * most);
  merged.sample_count.resize(T * most);
  RowIndex index(most);

  for (std::size_t t = 0; t < T; ++t) {
    const std::int32_t live_lanes = live[static_cast<std::int64_t>(t)];
    if (live_lanes < 0 || live_lanes > lanes) {
      throw std::invalid_argument("live[" + std::to_string(t) + "] is " +
                                  std::to_string(live_lanes) + "; expected 0.." +
                                  std::to_string(lanes) + ", pass the arrays of one block");
    }
    const auto M = static_cast<std::size_t>(live_lanes);
    std::int32_t* n_target = merged.target_count.data() + t * most;
    std::int32_t* n_sample = merged.sample_count.data() + t * most;
    index.start_step(merged.rows.data() + t * most);
    const std::int32_t* step_targets = targets.data() + t * B;
    for (std::size_t b = 0; b < M; ++b) {
      const std::uint32_t r = index.find_or_add(checked_item("targets", step_targets[b]));
      ++n_target[r];
      merged.target_row[t * B + b] = static_cast<std::int32_t>(r);
    }
    const std::int32_t* step_negatives = negatives.data() + t * S;
    for (std::size_t s = 0; s < S; ++s) {
      ++n_sample[index.find_or_add(checked_item("negatives", step_negatives[s]))];
    }
    merged.scored[t] = static_cast<std::int32_t>(index.rows());
    const std::int32_t* step_inputs = inputs.data() + t * B;
    for (std::size_t b = 0; b < M; ++b) {
      const std::uint32_t r = index.find_or_add(checked_item("inputs", step_inputs[b]));
      merged.input_row[t * B + b] = static_cast<std::int32_t>(r);
    }
    merged.touched[t] = static_cast<std::int32_t>(index.rows());
    merged.width = std::max(merged.width, std::int64_t{index.rows()});
  }

  const auto U = static_cast<std::size_t>(merged.width);
  narrow(merged.rows, most, merged.touched, U);
  narrow(merged.target_count, most, merged.touched, U);
  narrow(merged.sample_count, most, merged.touched, U);
  return merged;
}

}  // namespace gru4rec_fast
