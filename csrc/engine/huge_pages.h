// Advice to the system to back memory by huge pages. Rows of a table are read at random; with
// 4 KiB pages nearly every row costs a TLB miss.
#pragma once

#include <cstddef>

namespace gru4rec_fast {

inline constexpr std::size_t kHugePage = std::size_t{1} << 21;  // bytes

// Asks for huge pages when the memory is first touched. Does nothing where the system does not
// support it or refuses.
void advise_huge_pages(const void* memory, std::size_t bytes);

// The same for memory that is in use already: asks the system to move it into huge pages now.
void collapse_huge_pages(const void* memory, std::size_t bytes);

}  // namespace gru4rec_fast
