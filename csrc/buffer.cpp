#include "buffer.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gru4rec_fast {
namespace {

constexpr std::size_t kHugePage = std::size_t{1} << 21;
constexpr std::size_t kSlack = 64 * sizeof(float);

}  // namespace

Buffer::Buffer(std::ptrdiff_t floats) {
  std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float) + kSlack;
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
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

namespace {

// Gives the whole huge pages inside the memory the same advice.
void advise([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes,
            [[maybe_unused]] int advice) {
#if defined(__linux__)
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) & ~(kHugePage - 1);
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, advice);
#endif
}

constexpr int kHugePages = 14;  // MADV_HUGEPAGE
constexpr int kCollapse = 25;   // MADV_COLLAPSE, Linux 6.1; older headers lack it

}  // namespace

void advise_huge_pages(const void* memory, std::size_t bytes) {
  advise(memory, bytes, kHugePages);
}

void collapse_huge_pages(const void* memory, std::size_t bytes) {
  advise(memory, bytes, kHugePages);
  advise(memory, bytes, kCollapse);
}

}  // namespace gru4rec_fast
