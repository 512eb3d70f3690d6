// Zeroed, cache-line aligned memory for the engine's intermediate results; large ones ask for huge pages.
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

  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  float* data_ = nullptr;
};

// Advises the system to back this memory, a parameter's, by huge pages: rows are read at random,
// and a page table entry for each would be fetched too. Does nothing where that is unknown.
void advise_huge_pages(const void* memory, std::size_t bytes);

}  // namespace gru4rec_fast
