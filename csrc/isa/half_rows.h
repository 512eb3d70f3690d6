// Rows of item tables in bfloat16, the upper half of a float32: read exactly.
#pragma once

#include "engine/network.h"
#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

typedef std::uint32_t FloatBits __attribute__((may_alias));

inline void expand_row(const std::uint16_t* half, Index n, float* to) {
  auto* const bits_of = reinterpret_cast<FloatBits*>(to);
  for (Index k = 0; k < n; ++k) bits_of[k] = static_cast<std::uint32_t>(half[k]) << 16;
}

// to (columns): a row of a parameter.
inline void read_row(const Parameter& p, Index row, float* to) {
  if (p.half != nullptr) {
    expand_row(p.half + row * p.columns, p.columns, to);
  } else {
    copy(to, p.value + row * p.columns, p.columns);
  }
}

// to (H): the row of an item.
inline void read_row(const ItemTable& table, Index item, Index H, float* to) {
  if (table.half != nullptr) {
    expand_row(table.half + item * H, H, to);
  } else {
    copy(to, table.w + item * H, H);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
