// The columns of a text block whose ids are all plain integers, which is what most logs hold.
#pragma once

#include <cstdint>
#include <vector>

#include "data/span.h"

namespace gru4rec_fast {

struct IntegerFields {
  bool read = false;  // whether the block is as described below; else the rest is meaningless
  std::int64_t rows = 0;
  std::vector<std::vector<std::int64_t>> ids;  // one a column of ids
  std::vector<std::int64_t> times;             // (rows,), or empty
  std::vector<double> decimal_times;           // (rows,) where a time has a decimal point
};

// Reads `block`: whole lines, without a header, of `n_columns` fields each, in ASCII without
// quotes. The fields of `id_columns` are integers in their one notation (no leading zeros, no plus
// sign, not -0) that fit int64. Those of `time_column` (-1: none) are such integers up to the first
// with a decimal point; if there is one, all are rounded to doubles. Any other block is not read:
// its meaning is for the general reader to say.
IntegerFields read_integer_fields(Span<std::uint8_t> block, char separator,
                                  const std::vector<std::int64_t>& id_columns,
                                  std::int64_t time_column, std::int64_t n_columns);

}  // namespace gru4rec_fast
