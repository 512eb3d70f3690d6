// Products of bfloat16 parts by every instruction set that has them, for the sanitizers to watch.
// The tests in Python compare their errors with the bounds.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/dispatch.h"
#include "tests/random_problem.h"
#include "tests/require.h"

namespace gru4rec_fast {
namespace {

// A product of factors in memory of exactly their size, but for C, whose rows are whole vectors.
void test_product(const Products& products, int rows, int depth, int columns, bool by_columns) {
  const int stride = (columns + 15) / 16 * 16;
  const Floats a = random_floats(rows * depth), b = random_floats(depth * columns);
  Floats c(static_cast<std::size_t>(rows * stride), 1.0f);
  std::vector<std::uint16_t> parts(
      static_cast<std::size_t>(bf16_numbers(products.parts, depth, columns)));
  products.kernels->split(products.parts, b.data(), columns, depth, columns, 0, stride / kBf16Rows,
                          parts.data());
  const LeftFactor left = {a.data(), by_columns ? rows : depth, nullptr, 0, by_columns};
  const RowsAhead ahead = {a.data(), 1, 1, nullptr, 0, rows};
  products.kernels->multiply(products.parts, rows, columns, depth, left, parts.data(), c.data(),
                             stride, true, ahead);
  const auto at = [](const Floats& x, int place) { return x[static_cast<std::size_t>(place)]; };
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      float sum = 1.0f;
      for (int k = 0; k < depth; ++k) {
        sum += at(a, by_columns ? k * rows + i : i * depth + k) * at(b, k * columns + j);
      }
      // Each product is at most 0.09 and at most 2^-7 of it off.
      REQUIRE(std::fabs(at(c, i * stride + j) - sum) < 0.001f * static_cast<float>(depth + 1));
    }
  }
}

}  // namespace
}  // namespace gru4rec_fast

int main() {
  for (const std::string& name : gru4rec_fast::bf16_instruction_sets()) {
    gru4rec_fast::use_bf16_instruction_set(name);
    for (const char* precision : {"high", "medium"}) {
      const gru4rec_fast::Products products = gru4rec_fast::products_of(precision);
      for (const bool by_columns : {false, true}) {
        gru4rec_fast::test_product(products, 1, 1, 1, by_columns);
        gru4rec_fast::test_product(products, 37, 67, 70, by_columns);
        gru4rec_fast::test_product(products, 18, 300, 33, by_columns);
      }
    }
    std::printf("%s: passed\n", name.c_str());
  }
}
