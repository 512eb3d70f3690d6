// Numbers ids 0, 1, 2, ... in the order in which they first appear, batch after batch.
//
// Memory: about 40 bytes for each integer id; for each text id about 48 bytes and its text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

class IntegerNumbering {
 public:
  IntegerNumbering();

  // The number of each id. Throws std::length_error at the 2^31st distinct id.
  std::vector<std::int32_t> number(Span<std::int64_t> ids);
  const std::vector<std::int64_t>& ids() const { return ids_; }  // by number

 private:
  struct Slot {
    std::int64_t id;
    std::int32_t number;  // -1 for an empty slot
  };
  void grow();

  std::vector<Slot> slots_;  // a power of two, linear probing, at most half full
  std::vector<std::int64_t> ids_;
};

class TextNumbering {
 public:
  TextNumbering();

  // The number of each text; text i is bytes[offsets[i]:offsets[i + 1]]. Throws
  // std::invalid_argument for offsets that do not ascend within `bytes`.
  std::vector<std::int64_t> number(Span<std::int64_t> offsets, Span<std::uint8_t> bytes);
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }      // text after text
  const std::vector<std::int64_t>& offsets() const { return offsets_; }  // (n + 1,)

  // The numbers of all texts in ascending order of their bytes, which for UTF-8 is that of their
  // code points.
  std::vector<std::int64_t> sorted() const;

 private:
  struct Slot {
    std::uint64_t hash;
    std::int64_t number;  // -1 for an empty slot
  };
  std::string_view text(std::int64_t number) const;
  void grow();

  std::vector<Slot> slots_;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::int64_t> offsets_;
};

}  // namespace gru4rec_fast
