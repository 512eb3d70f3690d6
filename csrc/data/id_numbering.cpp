#include "data/id_numbering.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>

#include "data/prefetch.h"

namespace gru4rec_fast {
namespace {

constexpr std::size_t kFirstSlots = 1024;
constexpr std::int64_t kAhead = 16;  // ids whose slots are prefetched

// Fibonacci hashing, after the high bits are mixed into the low ones.
std::uint64_t mixed(std::uint64_t key) {
  key ^= key >> 32;
  key *= 0x9E3779B97F4A7C15;
  return key ^ (key >> 29);
}

std::uint64_t hash_of(std::int64_t id) {
  return mixed(static_cast<std::uint64_t>(id));
}

}  // namespace

IntegerNumbering::IntegerNumbering() : slots_(kFirstSlots, Slot{0, -1}) {}

void IntegerNumbering::grow() {
  const std::size_t slots = 2 * slots_.size();
  std::vector<Slot>().swap(slots_);  // before there are more: the ids have it all
  slots_.assign(slots, Slot{0, -1});
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    std::size_t place = hash_of(ids_[i]) & mask;
    while (slots_[place].number >= 0) place = (place + 1) & mask;
    slots_[place] = {ids_[i], static_cast<std::int32_t>(i)};
  }
}

std::vector<std::int32_t> IntegerNumbering::number(Span<std::int64_t> ids) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(ids.size()));
  for (std::int64_t i = 0; i < ids.size(); ++i) {
    if (2 * (ids_.size() + 1) > slots_.size()) grow();
    const std::size_t mask = slots_.size() - 1;
    if (i + kAhead < ids.size()) {
      GRU4REC_FAST_PREFETCH(slots_.data() + (hash_of(ids[i + kAhead]) & mask));
    }
    std::size_t place = hash_of(ids[i]) & mask;
    while (slots_[place].number >= 0 && slots_[place].id != ids[i]) place = (place + 1) & mask;
    if (slots_[place].number < 0) {
      if (ids_.size() == static_cast<std::size_t>(INT32_MAX)) {
        throw std::length_error("more than 2147483647 different items");
      }
      slots_[place] = {ids[i], static_cast<std::int32_t>(ids_.size())};
      ids_.push_back(ids[i]);
    }
    numbers[static_cast<std::size_t>(i)] = slots_[place].number;
  }
  return numbers;
}

TextNumbering::TextNumbering() : slots_(kFirstSlots, Slot{0, -1}), offsets_{0} {}

std::string_view TextNumbering::text(std::int64_t number) const {
  const auto i = static_cast<std::size_t>(number);
  return {reinterpret_cast<const char*>(bytes_.data()) + offsets_[i],
          static_cast<std::size_t>(offsets_[i + 1] - offsets_[i])};
}

void TextNumbering::grow() {
  const std::vector<Slot> old = std::move(slots_);
  slots_.assign(2 * old.size(), Slot{0, -1});
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.number < 0) continue;
    std::size_t place = slot.hash & mask;
    while (slots_[place].number >= 0) place = (place + 1) & mask;
    slots_[place] = slot;
  }
}

std::vector<std::int64_t> TextNumbering::number(Span<std::int64_t> offsets,
                                                Span<std::uint8_t> bytes) {
  if (offsets.size() < 1) throw std::invalid_argument("offsets are empty; expected n + 1 of them");
  const std::int64_t n = offsets.size() - 1;
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    if (offsets[i] < 0 || offsets[i] > offsets[i + 1] || offsets[i + 1] > bytes.size()) {
      throw std::invalid_argument("offsets go from " + std::to_string(offsets[i]) + " to " +
                                  std::to_string(offsets[i + 1]) + " at text " + std::to_string(i) +
                                  "; expected them to ascend from 0 to " +
                                  std::to_string(bytes.size()));
    }
    if (2 * offsets_.size() > slots_.size()) grow();
    const std::size_t mask = slots_.size() - 1;
    const auto length = static_cast<std::size_t>(offsets[i + 1] - offsets[i]);
    const std::string_view value(reinterpret_cast<const char*>(bytes.data()) + offsets[i], length);
    const std::uint64_t hash = mixed(std::hash<std::string_view>{}(value));
    std::size_t place = hash & mask;
    while (slots_[place].number >= 0 &&
           !(slots_[place].hash == hash && text(slots_[place].number) == value)) {
      place = (place + 1) & mask;
    }
    if (slots_[place].number < 0) {
      slots_[place] = {hash, static_cast<std::int64_t>(offsets_.size()) - 1};
      bytes_.insert(bytes_.end(), bytes.data() + offsets[i], bytes.data() + offsets[i + 1]);
      offsets_.push_back(static_cast<std::int64_t>(bytes_.size()));
    }
    numbers[static_cast<std::size_t>(i)] = slots_[place].number;
  }
  return numbers;
}

std::vector<std::int64_t> TextNumbering::sorted() const {
  std::vector<std::int64_t> order(offsets_.size() - 1);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::sort(order.begin(), order.end(),
            [this](std::int64_t a, std::int64_t b) { return text(a) < text(b); });
  return order;
}

}  // namespace gru4rec_fast
