// Integer sums of a few of many items. A version number marks the items of the current sum, so that
// starting a new one costs nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gru4rec_fast {

class SparseSums {
 public:
  explicit SparseSums(std::int64_t n_items) : slots_(static_cast<std::size_t>(n_items)) {}

  void start() {
    items_.clear();
    if (++version_ == 0) {
      std::fill(slots_.begin(), slots_.end(), Slot{});
      version_ = 1;
    }
  }
  void add(std::int32_t item, std::int64_t value) {
    Slot& slot = slots_[static_cast<std::size_t>(item)];
    if (slot.version != version_) {
      slot = {0, version_};
      items_.push_back(item);
    }
    slot.sum += value;
  }
  // 0 for an item that was not added.
  std::int64_t operator[](std::int32_t item) const {
    const Slot& slot = slots_[static_cast<std::size_t>(item)];
    return slot.version == version_ ? slot.sum : 0;
  }
  // Items that were added, in the order of their first addition.
  const std::vector<std::int32_t>& items() const { return items_; }

 private:
  struct Slot {
    std::int64_t sum = 0;
    std::uint32_t version = 0;
  };
  std::vector<Slot> slots_;
  std::vector<std::int32_t> items_;
  std::uint32_t version_ = 0;
};

}  // namespace gru4rec_fast
