// Zeroed, cache-line aligned memory for the engine's intermediate results; large ones ask for huge
// pages.
#pragma once

#include <cstddef>

namespace gru4rec_fast {

class Buffer {
 public:
  Buffer() = default;
  // Room for `floats` floats and a few vectors more, which products may read past the last column.
  // Throws std::bad_alloc.
  explicit Buffer(std::ptrdiff_t floats);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  void swap(Buffer& other) noexcept;

  // Inlined by force, see simd.h.
  __attribute__((always_inline)) float* data() { return data_; }
  __attribute__((always_inline)) const float* data() const { return data_; }

 private:
  float* data_ = nullptr;
};

// Asks the system to back memory by huge pages when it is first touched, or for a parameter at
// once: rows are read at random, and with small pages a page table entry each is fetched too. Does
// nothing where the system does not know or refuses it.
void advise_huge_pages(const void* memory, std::size_t bytes);
void collapse_huge_pages(const void* memory, std::size_t bytes);

}  // namespace gru4rec_fast
