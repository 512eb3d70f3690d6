#include "bindings/step_block.h"

#include <stdexcept>

namespace gru4rec_fast {
namespace {

bool inside(std::int32_t index, std::ptrdiff_t size) {
  return index >= 0 && index < size;
}

bool fits(const PlannedStep& step, const StepBlock& block, std::ptrdiff_t items,
          std::ptrdiff_t state_rows) {
  if (step.live < 1 || step.live > block.lanes || step.scored < 1 || step.scored > step.touched ||
      step.touched > block.width) {
    return false;
  }
  for (std::ptrdiff_t i = 0; i < step.live; ++i) {
    if (!inside(step.target_row[i], step.scored) || !inside(step.input_row[i], step.touched) ||
        (step.restarts[i] == 0 && !inside(step.source[i], state_rows))) {
      return false;
    }
  }
  for (std::ptrdiff_t u = 0; u < step.touched; ++u) {
    if (!inside(step.rows[u], items)) return false;
  }
  return true;
}

}  // namespace

BorrowedBlock::BorrowedBlock(const py::object& block) {
  const auto size = [&](const char* name, int dimensions, int axis) {
    return array_of<std::int32_t>(name, py::cast<py::array>(block.attr(name)), dimensions)
        .shape(axis);
  };
  block_.first_step = unsigned_of("first_step", block.attr("first_step"));
  const std::uint64_t first_lane = unsigned_of("first_lane", block.attr("first_lane"));
  if (first_lane > INT32_MAX) {
    throw std::invalid_argument("first_lane is " + std::to_string(first_lane) +
                                "; expected 0..2147483647");
  }
  block_.first_lane = static_cast<std::ptrdiff_t>(first_lane);
  block_.steps = size("live", 1, 0);
  block_.lanes = size("source", 2, 1);
  block_.width = size("rows", 2, 1);
  block_.restarts = matrix<std::uint8_t>(block, "restarts", block_.lanes);
  block_.source = matrix<std::int32_t>(block, "source", block_.lanes);
  block_.target_row = matrix<std::int32_t>(block, "target_row", block_.lanes);
  block_.input_row = matrix<std::int32_t>(block, "input_row", block_.lanes);
  block_.rows = matrix<std::int32_t>(block, "rows", block_.width);
  block_.target_count = matrix<std::int32_t>(block, "target_count", block_.width);
  block_.sample_count = matrix<std::int32_t>(block, "sample_count", block_.width);
  block_.live = column(block, "live");
  block_.scored = column(block, "scored");
  block_.touched = column(block, "touched");
}

template <class T>
const T* BorrowedBlock::matrix(const py::object& block, const char* name, std::ptrdiff_t columns) {
  const auto array = array_of<T>(name, py::cast<py::array>(block.attr(name)), 2);
  expect(array.shape(0) == block_.steps && array.shape(1) == columns, name, array, block_.steps,
         columns);
  owners_.push_back(array);
  return array.data();
}

const std::int32_t* BorrowedBlock::column(const py::object& block, const char* name) {
  const auto array = array_of<std::int32_t>(name, py::cast<py::array>(block.attr(name)), 1);
  expect(array.shape(0) == block_.steps, name, array, block_.steps, 1);
  owners_.push_back(array);
  return array.data();
}

void BorrowedBlock::check_indices(std::ptrdiff_t items, std::ptrdiff_t state_rows) const {
  for (std::ptrdiff_t t = 0; t < block_.steps; ++t) {
    const PlannedStep step = block_.at(t);
    if (!fits(step, block_, items, state_rows)) {
      throw std::invalid_argument("step " + std::to_string(t) +
                                  " of the block names a lane, row or item that does not exist; "
                                  "expected a block of plan_epoch for a catalogue of " +
                                  std::to_string(items) + " items");
    }
    state_rows = step.live;
  }
}

}  // namespace gru4rec_fast
