// Arrays of integers. A std::vector<std::int32_t> would be the same type for every instruction set,
// which csrc/isa/README.md forbids.
#pragma once

#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

template <class Integer>
class IntegerArray {
 public:
  explicit IntegerArray(Index size) : data_(new Integer[static_cast<std::size_t>(size)]()) {}
  ~IntegerArray() { delete[] data_; }
  IntegerArray(const IntegerArray&) = delete;
  IntegerArray& operator=(const IntegerArray&) = delete;

  Integer* data() { return data_; }
  Integer& operator[](Index i) { return data_[i]; }

 private:
  Integer* data_;
};

using IndexArray = IntegerArray<std::int32_t>;

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
