// The unique items of one step after another: a hash table of their places in an array.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gru4rec_fast {

// Open addressing with linear probing. The table is at most a twelfth full: a search that needs a
// second probe costs a branch that no processor predicts, which takes longer than to read an entry
// from the second cache.
//
// An entry is a place plus `base_`, which grows from step to step: what earlier steps left is lower
// and counts as empty, so nothing is cleared until 32 bits are used up.
class RowIndex {
 public:
  // For steps of at most `most_rows` unique items, 2^30 or less.
  explicit RowIndex(std::size_t most_rows, std::uint32_t base = 0)
      : most_rows_(static_cast<std::uint32_t>(most_rows)), base_(base) {
    while (bits_ < 32 && (std::size_t{1} << bits_) < 12 * most_rows) ++bits_;
    entries_.resize(std::size_t{1} << bits_);
  }

  // A step whose unique items go to `items`, which has room for all.
  void start_step(std::int32_t* items) {
    if (base_ > UINT32_MAX - 2 * most_rows_) {
      std::fill(entries_.begin(), entries_.end(), 0);
      base_ = 0;
    }
    base_ += most_rows_;
    items_ = items;
    rows_ = 0;
  }

  // The place of `item` >= 0; the next one if the step did not have it yet.
  std::uint32_t find_or_add(std::int32_t item) {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the item.
    std::size_t i = (static_cast<std::uint32_t>(item) * 0x9E3779B9u) >> (32 - bits_);
    while (entries_[i] >= base_) {
      const std::uint32_t row = entries_[i] - base_;
      if (items_[row] == item) return row;
      i = (i + 1) & (entries_.size() - 1);
    }
    entries_[i] = base_ + rows_;
    items_[rows_] = item;
    return rows_++;
  }

  std::uint32_t rows() const { return rows_; }  // of the step so far

 private:
  unsigned bits_ = 4;
  std::uint32_t most_rows_;
  std::uint32_t base_;
  std::uint32_t rows_ = 0;
  std::int32_t* items_ = nullptr;
  std::vector<std::uint32_t> entries_;
};

}  // namespace gru4rec_fast
