// An array of integers. A std::vector<std::int32_t> would be the same type for every instruction
// set, which csrc/isa/README.md forbids.
#pragma once

#include "isa/simd.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class IndexArray {
 public:
  explicit IndexArray(Index size) : data_(new std::int32_t[static_cast<std::size_t>(size)]()) {}
  ~IndexArray() { delete[] data_; }
  IndexArray(const IndexArray&) = delete;
  IndexArray& operator=(const IndexArray&) = delete;

  std::int32_t* data() { return data_; }
  std::int32_t& operator[](Index i) { return data_[i]; }

 private:
  std::int32_t* data_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
