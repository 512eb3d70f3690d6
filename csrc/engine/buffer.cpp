#include "engine/buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "engine/huge_pages.h"

namespace gru4rec_fast {
namespace {

constexpr std::size_t kCacheLine = 64;                // bytes
constexpr std::size_t kPadding = 64 * sizeof(float);  // read past the last column, see product.h

}  // namespace

Buffer::Buffer(std::ptrdiff_t floats) {
  std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float) + kPadding;
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  data_ = static_cast<float*>(std::aligned_alloc(alignment, bytes));
  if (data_ == nullptr) throw std::bad_alloc();
  advise_huge_pages(data_, bytes);
  std::memset(data_, 0, bytes);
}

Buffer::~Buffer() {
  std::free(data_);
}

Buffer::Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  swap(other);
  return *this;
}

void Buffer::swap(Buffer& other) noexcept {
  std::swap(data_, other.data_);
}

}  // namespace gru4rec_fast
