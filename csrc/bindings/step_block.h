// A StepBlock of Python as the engine reads it.
#pragma once

#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "engine/step_block.h"

namespace gru4rec_fast {

// The arrays are kept alive while they are borrowed.
class BorrowedBlock {
 public:
  // Throws std::invalid_argument for arrays of a wrong type or shape.
  explicit BorrowedBlock(const py::object& block);

  const StepBlock& block() const { return block_; }

  // Throws std::invalid_argument unless every index is inside its table, so that the kernels need
  // not check: items of 0..items-1, and lanes that continue one of `state_rows` rows in the first
  // step. Works without the GIL.
  void check_indices(std::ptrdiff_t items, std::ptrdiff_t state_rows) const;

 private:
  template <class T>
  const T* matrix(const py::object& block, const char* name, std::ptrdiff_t columns);
  const std::int32_t* column(const py::object& block, const char* name);

  StepBlock block_;
  std::vector<py::object> owners_;
};

}  // namespace gru4rec_fast
