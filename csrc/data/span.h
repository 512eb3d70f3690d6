// A borrowed, read-only run of elements (C++17 has no std::span). The owner must outlive it.
#pragma once

#include <cstdint>

namespace gru4rec_fast {

template <class T>
class Span {
 public:
  constexpr Span(const T* data, std::int64_t size) : data_(data), size_(size) {}

  constexpr const T* data() const { return data_; }
  constexpr std::int64_t size() const { return size_; }
  constexpr const T& operator[](std::int64_t i) const { return data_[i]; }
  constexpr const T* begin() const { return data_; }
  constexpr const T* end() const { return data_ + size_; }

 private:
  const T* data_;
  std::int64_t size_;
};

}  // namespace gru4rec_fast
