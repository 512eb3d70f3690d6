// Feature rows rounded to integers, and what bounds the error of their scores.
//
// With row u of w as a q + r and the features as c p + t (a and c are scales), a score is
//
//   w f + b = a c (q p) + b + (a q) t + r f.
//
// The Cauchy-Schwarz inequality bounds the last two terms by |a q| |t| + |r| |f|. The float32 score
// of the engine differs from w f + b by what it rounds. Everything is divided by c, so that a
// vector of sums needs one multiplication: the float32 score of u is above, below or perhaps equal
// to a threshold s as x = a (q p) + b / c - s / c is above E, below -E, or between, with
//
//   E = |r| of_rest + |a q| of_rounded + of_threshold(s).
//
// docs/DESIGN-cpu.md, "Ranks by bounds", derives the three factors; they include how x and E
// themselves are rounded.
#pragma once

#include <vector>

#include "engine/bound_kernels.h"
#include "engine/buffer.h"
#include "isa/bounds/integer_product.h"
#include "isa/bounds/rounded_row.h"
#include "isa/bounds/tiles.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class RoundedFeatures {
 public:
  // features (rows x units) are those of `catalogue`'s items.
  RoundedFeatures(const BoundedCatalogue& catalogue, const float* features, Index rows)
      : rounded_(*catalogue.rounded),
        factor_(catalogue.bound_factor),
        rows_(rows),
        units_(rounded_.units),
        depth_(round_up(units_, kDepthStep)),
        row_(static_cast<std::size_t>(round_up(rows, kPanelRows))),
        panels_(round_up(rows, kPanelRows) * depth_ / 4),
        integers_(at_most(rows, kFew) * round_up(units_, kVectorBytes) / 4) {
    for (Index i = 0; i < rows; ++i) add(features + i * units_, i);
  }

  // So few rows are multiplied one by one.
  static constexpr Index kFew = 4;

  bool few() const { return rows_ <= kFew; }
  Index depth() const { return depth_; }
  const std::int8_t* panel(Index group) const {
    return reinterpret_cast<const std::int8_t*>(panels_.data()) + group * kPanelRows * depth_;
  }
  // The integers of one of few rows.
  const std::int8_t* integers(Index row) const {
    return reinterpret_cast<const std::int8_t*>(integers_.data()) +
           row * round_up(units_, kVectorBytes);
  }

  // What the scan of a group of rows needs, for thresholds that may change.
  struct Group {
    alignas(64) std::int32_t start[kPanelRows];
    alignas(64) float inverse[kPanelRows];  // 1 / c
    alignas(64) float of_rest[kPanelRows];
    alignas(64) float of_rounded[kPanelRows];
    alignas(64) float of_threshold[kPanelRows];
    alignas(64) float threshold[kPanelRows];  // s / c
  };

  // Fills `to` for the group's thresholds; false where float32 could not hold what is computed, or
  // a threshold is infinite, so that the group must be scored in float32.
  bool fill(Index group, const float* thresholds, Group& to) const {
    for (Index i = 0; i < kPanelRows; ++i) {
      const Row& row = row_[static_cast<std::size_t>(group * kPanelRows + i)];
      const double scaled = static_cast<double>(thresholds[i]) * row.inverse;
      const double size = scaled < 0.0 ? -scaled : scaled;
      if (!(size < kLargest) || !row.usable) return false;
      to.start[i] = row.start;
      to.inverse[i] = static_cast<float>(row.inverse);
      to.of_rest[i] = static_cast<float>(row.of_rest * factor_);
      to.of_rounded[i] = static_cast<float>(row.of_rounded * factor_);
      to.of_threshold[i] = static_cast<float>((row.base + kOfX * size) * kUp * factor_);
      to.threshold[i] = static_cast<float>(scaled);
    }
    return true;
  }

 private:
#if defined(GRU4REC_FAST_TILES)
  static constexpr Index kDepthStep = kTileDepth;
#else
  static constexpr Index kDepthStep = 4;
#endif
  static constexpr Index kVectorBytes = 64;
  // Above it, sums might overflow in float32.
  static constexpr double kLargest = 0x1p100;
  // x is a sum of three terms with at most eight roundings on each.
  static constexpr double kOfX = 8.0 * kUnitRoundoff;
  // For the roundings of E and of its factors.
  static constexpr double kUp = 1.0 + 32.0 * kUnitRoundoff;

  struct Row {
    std::int32_t start = 0;
    bool usable = true;
    double inverse = 1.0, of_rest = 0.0, of_rounded = 0.0, base = 0.0;
  };

  void add(const float* features, Index i) {
    Row& row = row_[static_cast<std::size_t>(i)];
    auto* const to = reinterpret_cast<std::int8_t*>(panels_.data()) +
                     i / kPanelRows * kPanelRows * depth_ + i % kPanelRows * 4;
    auto* const q = reinterpret_cast<std::int8_t*>(integers_.data()) +
                    (few() ? i * round_up(units_, kVectorBytes) : 0);
    const float scale = scale_of(features, units_, kMostFeature);
    const RowNorms f = round_row(features, units_, kMostFeature, scale, q);
    std::int32_t sum = 0, squares = 0;
    for (Index k = 0; k < units_; ++k) {
      to[k / 4 * 4 * kPanelRows + k % 4] = q[k];
      sum += q[k];
      squares += q[k] * q[k];
    }
    const double H = static_cast<double>(units_);
    const double N = rounded_.largest_norm, B = rounded_.largest_bias;
    const double p = __builtin_sqrt(static_cast<double>(squares));
    // Roundings that a term of the float32 score goes through: its product, the sums of a block of
    // units, those of the blocks, and the bias.
    const double roundings = static_cast<double>(units_ + units_ / kBlockDepth + 4) * kUnitRoundoff;
    const double gamma = roundings / (1.0 - roundings);
    // What is lost where an operation, or an operand, falls below the normal numbers.
    const double underflow =
        2.0 * kSmallestNormal * (2.0 * H + 8.0 + __builtin_sqrt(H) * (N + f.row));
    row.start = -128 * sum;
    row.inverse = scale > 0.0f ? 1.0 / static_cast<double>(scale) : 1.0;
    row.of_rest = (f.row + gamma * f.row) * row.inverse * kUp;
    row.of_rounded = ((f.rest + gamma * f.row) * row.inverse + kOfX * p) * kUp;
    row.base = (gamma * B + underflow + kOfX * B) * row.inverse + 16.0 * kSmallestNormal;
    // False for NaN, too.
    row.usable = N * f.row + B < kLargest && N * (p + 1.0) < kLargest &&
                 (N * f.row + B) * row.inverse < kLargest && f.row * row.inverse < kLargest;
  }

  const RoundedItems& rounded_;
  float factor_;
  Index rows_, units_, depth_;
  std::vector<Row> row_;
  Buffer panels_;
  Buffer integers_;  // of few rows, each followed by zeros; else of the last row
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
