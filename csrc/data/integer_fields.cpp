#include "data/integer_fields.h"

#include <charconv>
#include <system_error>

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

bool decimal(const char* begin, const char* end, double& value) {
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
  if (points > 1) return false;
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc() && stop == end;
}

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
  while (c < end) {
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
        double number = 0;
        if (!decimal(from, to, number)) return fields;
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
