#include "engine/huge_pages.h"

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gru4rec_fast {
namespace {

constexpr int kAdviceHugePage = 14;  // MADV_HUGEPAGE
constexpr int kAdviceCollapse = 25;  // MADV_COLLAPSE, Linux 6.1; older headers lack it

// Advises the system on the whole huge pages inside the memory.
void advise([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes,
            [[maybe_unused]] int advice) {
#if defined(__linux__)
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) & ~(kHugePage - 1);
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, advice);
#endif
}

}  // namespace

void advise_huge_pages(const void* memory, std::size_t bytes) {
  advise(memory, bytes, kAdviceHugePage);
}

void collapse_huge_pages(const void* memory, std::size_t bytes) {
  advise(memory, bytes, kAdviceHugePage);
  advise(memory, bytes, kAdviceCollapse);
}

}  // namespace gru4rec_fast
