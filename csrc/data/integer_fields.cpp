#include "data/integer_fields.h"

#include <charconv>
#include <system_error>
#include <utility>

namespace gru4rec_fast {
namespace {

// The integer that is written from `begin` to `end` in its one notation.
bool integer(const char* begin, const char* end, std::int64_t& value) {
  const char* digits = begin + (begin < end && *begin == '-');
  if (digits == end || (*digits == '0' && (end - digits > 1 || digits != begin))) return false;
  if (end - digits <= 18) {  // Cannot overflow.
    std::int64_t number = 0;
    for (const char* c = digits; c < end; ++c) {
      const auto digit = static_cast<unsigned>(*c - '0');
      if (digit > 9) return false;
      number = 10 * number + digit;
    }
    value = digits == begin ? number : -number;
    return true;
  }
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc() && stop == end;
}

// The number that is written from `begin` to `end`; with `needs_point`, not without a point.
bool decimal(const char* begin, const char* end, bool needs_point, double& value) {
  const char* c = begin + (begin < end && *begin == '-');
  if (c == end || *c < '0' || *c > '9') return false;
  int points = 0;
  for (; c < end; ++c) {
    if (*c == '.') {
      ++points;
    } else if (*c < '0' || *c > '9') {
      return false;
    }
  }
  if (points > 1 || points < needs_point) return false;
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc() && stop == end;
}

// Reads lines whose wanted fields are all integers of up to 18 digits, in one pass.
class PlainLines {
 public:
  // value[role[k]] gets field k; -1 for one that is not wanted.
  PlainLines(char separator, std::vector<int> role, std::int64_t* value)
      : separator_(separator), role_(std::move(role)), value_(value) {}

  // The end of the line at `c`, its line feed included; null for any other kind of line.
  const char* read(const char* c, const char* end) const {
    const std::size_t last = role_.size() - 1;
    for (std::size_t k = 0; k <= last; ++k) {
      c = role_[k] >= 0 ? number(c, end, value_[role_[k]]) : skipped(c, end);
      if (c == nullptr) return nullptr;
      if (k == last) break;
      if (c == end || *c != separator_) return nullptr;
      ++c;
    }
    if (c < end && *c == '\r') ++c;
    if (c == end) return c;
    return *c == '\n' ? c + 1 : nullptr;
  }

 private:
  static const char* number(const char* c, const char* end, std::int64_t& value) {
    const bool negative = c < end && *c == '-';
    c += negative;
    const char* const digits = c;
    std::int64_t found = 0;
    for (; c < end; ++c) {
      const auto digit = static_cast<unsigned>(*c - '0');
      if (digit > 9) break;
      found = static_cast<std::int64_t>(10 * static_cast<std::uint64_t>(found) + digit);
    }
    const std::ptrdiff_t n = c - digits;
    if (n < 1 || n > 18 || (*digits == '0' && (n > 1 || negative))) return nullptr;
    value = negative ? -found : found;
    return c;
  }

  const char* skipped(const char* c, const char* end) const {
    while (c < end && *c != separator_ && *c != '\n' && *c != '\r') {
      if (*c == '"' || static_cast<signed char>(*c) <= 0) return nullptr;
      ++c;
    }
    return c;
  }

  char separator_;
  std::vector<int> role_;
  std::int64_t* value_;
};

}  // namespace

IntegerFields read_integer_fields(Span<std::uint8_t> block, char separator,
                                  const std::vector<std::int64_t>& id_columns,
                                  std::int64_t time_column, std::int64_t n_columns) {
  IntegerFields fields;
  fields.ids.resize(id_columns.size());
  const char* c = reinterpret_cast<const char*>(block.data());
  const char* const end = c + block.size();
  std::vector<const char*> starts(static_cast<std::size_t>(n_columns) + 1);
  bool has_decimals = false;
  std::vector<int> role(static_cast<std::size_t>(n_columns), -1);
  std::vector<std::int64_t> value(id_columns.size() + 1);
  bool plain = true;  // whether each column has one role
  const auto assign = [&](std::int64_t column, std::size_t place) {
    int& found = role[static_cast<std::size_t>(column)];
    plain = plain && found < 0;
    found = static_cast<int>(place);
  };
  for (std::size_t k = 0; k < id_columns.size(); ++k) assign(id_columns[k], k);
  if (time_column >= 0) assign(time_column, id_columns.size());
  const PlainLines lines(separator, std::move(role), value.data());
  const auto expected = static_cast<std::size_t>(end - c) / 16;
  for (auto& ids : fields.ids) ids.reserve(expected);
  if (time_column >= 0) fields.times.reserve(expected);
  while (c < end) {
    const char* const next = plain && !has_decimals ? lines.read(c, end) : nullptr;
    if (next != nullptr) {
      for (std::size_t k = 0; k < id_columns.size(); ++k) fields.ids[k].push_back(value[k]);
      if (time_column >= 0) fields.times.push_back(value.back());
      ++fields.rows;
      c = next;
      continue;
    }
    std::int64_t field = 0;
    starts[0] = c;
    for (; c < end && *c != '\n'; ++c) {
      if (*c == '"' || static_cast<signed char>(*c) <= 0) return fields;
      if (*c == separator) {
        if (++field >= n_columns) return fields;
        starts[static_cast<std::size_t>(field)] = c + 1;
      }
    }
    if (field + 1 != n_columns) return fields;
    const bool carriage = c > starts[0] && c[-1] == '\r';
    starts[static_cast<std::size_t>(n_columns)] = c + 1 - carriage;
    if (c < end) ++c;
    const auto begin_of = [&](std::int64_t k) { return starts[static_cast<std::size_t>(k)]; };
    const auto end_of = [&](std::int64_t k) { return starts[static_cast<std::size_t>(k) + 1] - 1; };
    for (std::size_t k = 0; k < id_columns.size(); ++k) {
      std::int64_t value = 0;
      if (!integer(begin_of(id_columns[k]), end_of(id_columns[k]), value)) return fields;
      fields.ids[k].push_back(value);
    }
    if (time_column >= 0) {
      std::int64_t value = 0;
      const char* from = begin_of(time_column);
      const char* to = end_of(time_column);
      if (!has_decimals && integer(from, to, value)) {
        fields.times.push_back(value);
      } else {
        // Only a point makes decimals of a column: -0 and 007 are integers to the general reader.
        double number = 0;
        if (!decimal(from, to, !has_decimals, number)) return fields;
        if (!has_decimals) {
          has_decimals = true;
          fields.decimal_times.assign(fields.times.begin(), fields.times.end());
          fields.times.clear();
        }
        fields.decimal_times.push_back(number);
      }
    }
    ++fields.rows;
  }
  fields.read = true;
  return fields;
}

}  // namespace gru4rec_fast
