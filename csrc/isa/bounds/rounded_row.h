// A row of floats as scale * q + rest, with q whole numbers and norms that are no less than the
// true ones.
#pragma once

#include "isa/lane_matrix.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// The unit in the last place of float32, 2^-24, and the smallest normal float32, 2^-126.
inline constexpr double kUnitRoundoff = 0x1p-24;
inline constexpr double kSmallestNormal = 0x1p-126;

// Numbers below 2^-90 are not resolved, so that scales and their inverses are normal.
inline constexpr float kSmallestScaled = 0x1p-90f;

struct RowNorms {
  double row, rounded, rest;  // of the row, of scale * q, and of row - scale * q
};

// Half as many floats as a vector has, and as many doubles.
inline constexpr Index kHalf = kWidth / 2;
typedef float HalfVec __attribute__((vector_size(kHalf * 4)));
typedef double DoubleVec __attribute__((vector_size(kHalf * 8)));
typedef std::int8_t ByteVec __attribute__((vector_size(kHalf)));

// Sums of squares, some of them side by side.
struct SumOfSquares {
  DoubleVec sums{};
  void add(DoubleVec x) { sums += x * x; }
  double total() const {
    double all = 0.0;
    for (Index j = 0; j < kHalf; ++j) all += sums[j];
    return all;
  }
};

// The scale by which the largest number of the row becomes `most`, or 0.
inline float scale_of(const float* row, Index units, int most) {
  float largest = 0.0f;
  Vec sizes{};
  Index k = 0;
  for (; k + kWidth <= units; k += kWidth) {
    sizes = maximum(from_bits(bits(load(row + k)) & 0x7FFFFFFF), sizes);
  }
  if (k < units) {
    sizes = maximum(from_bits(bits(load_first(row + k, units - k)) & 0x7FFFFFFF), sizes);
  }
  for (Index j = 0; j < kWidth; ++j) largest = sizes[j] > largest ? sizes[j] : largest;
  return largest < kSmallestScaled ? 0.0f : largest / static_cast<float>(most);
}

// q (units) gets whole numbers of -most..most.
inline RowNorms round_row(const float* row, Index units, int most, float scale, std::int8_t* q) {
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  const auto most_float = static_cast<float>(most);
  const HalfVec limit = most_float - HalfVec{};
  SumOfSquares squares, rounded, rest;
  const auto add = [&](HalfVec x) {
    // The nearest whole number, for sizes below 2^22.
    HalfVec nearest = (x * inverse + 0x1.8p23f) - 0x1.8p23f;
    nearest = nearest < limit ? nearest : limit;  // the limit for NaN too
    nearest = nearest > -limit ? nearest : -limit;
    const DoubleVec exact = __builtin_convertvector(x, DoubleVec);
    // Exact: a float times a whole number of 8 bits.
    const DoubleVec y = static_cast<double>(scale) * __builtin_convertvector(nearest, DoubleVec);
    squares.add(exact);
    rounded.add(y);
    rest.add(exact - y);
    return nearest;
  };
  Index k = 0;
  for (; k + kHalf <= units; k += kHalf) {
    HalfVec x;
    std::memcpy(&x, row + k, sizeof x);
    const ByteVec bytes = __builtin_convertvector(add(x), ByteVec);
    std::memcpy(q + k, &bytes, sizeof bytes);
  }
  if (k < units) {
    HalfVec x{};
    for (Index j = 0; k + j < units; ++j) x[j] = row[k + j];
    const HalfVec nearest = add(x);
    for (Index j = 0; k + j < units; ++j) q[k + j] = static_cast<std::int8_t>(nearest[j]);
  }
  // Up by more than the rounding of these sums, and by what a processor that takes subnormal
  // numbers as zero leaves out.
  const double up = 1.0 + 0x1p-50 * static_cast<double>(units + 8);
  const double lost = kSmallestNormal * __builtin_sqrt(static_cast<double>(units));
  return {__builtin_sqrt(squares.total()) * up + lost, __builtin_sqrt(rounded.total()) * up,
          __builtin_sqrt(rest.total()) * up + lost};
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
