// Zeroed, cache-line aligned memory for intermediate results; large buffers ask for huge pages.
#pragma once

#include <cstddef>

namespace gru4rec_fast {

class Buffer {
 public:
  Buffer() = default;
  // Room for `floats` floats, and for a few vectors more that a product may read past the last
  // column. Throws std::bad_alloc.
  explicit Buffer(std::ptrdiff_t floats);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  void swap(Buffer& other) noexcept;

  // Force-inlined: see csrc/isa/README.md.
  __attribute__((always_inline)) float* data() { return data_; }
  __attribute__((always_inline)) const float* data() const { return data_; }

 private:
  float* data_ = nullptr;
};

}  // namespace gru4rec_fast
