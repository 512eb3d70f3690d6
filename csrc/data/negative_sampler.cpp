#include "data/negative_sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "data/philox.h"
#include "data/prefetch.h"

namespace gru4rec_fast {
namespace {

constexpr std::uint64_t kSlotMass = std::uint64_t{1} << 32;

double checked_sum(Span<double> weights) {
  if (weights.size() < 1 || weights.size() > INT32_MAX) {
    throw std::invalid_argument("there are " + std::to_string(weights.size()) +
                                " weights; expected one for each of 1..2147483647 items");
  }
  double sum = 0.0;  // Neumaier's compensated sum
  double compensation = 0.0;
  for (std::int64_t i = 0; i < weights.size(); ++i) {
    const double w = weights[i];
    if (!(w >= 0.0) || std::isinf(w)) {
      throw std::invalid_argument("the weight of item " + std::to_string(i) + " is " +
                                  std::to_string(w) +
                                  "; expected a finite number >= 0, check support and alpha");
    }
    const double total = sum + w;
    compensation += sum >= w ? (sum - total) + w : (w - total) + sum;
    sum = total;
  }
  sum += compensation;
  if (!(sum > 0.0) || !std::isfinite(sum)) {
    throw std::invalid_argument("the weights sum to " + std::to_string(sum) +
                                "; expected a positive finite sum, check support and alpha");
  }
  return sum;
}

// Integers proportional to the weights that sum to V * 2^32. Each rounding error is carried into
// the next item; an item of positive weight gets at least 1. The difference that this and float64
// leave is added to the heaviest item: it has at least 2^32, and the difference is smaller than V.
std::vector<std::uint64_t> integer_masses(Span<double> weights) {
  const double sum = checked_sum(weights);
  const double total = static_cast<double>(weights.size()) * static_cast<double>(kSlotMass);
  std::vector<std::uint64_t> masses(static_cast<std::size_t>(weights.size()));
  std::uint64_t spent = 0;
  std::size_t heaviest = 0;
  double carry = 0.0;
  for (std::size_t i = 0; i < masses.size(); ++i) {
    const double weight = weights[static_cast<std::int64_t>(i)];
    if (weight == 0.0) continue;
    // The quotient first: a weight near the largest double times V * 2^32 would overflow.
    const double wanted = weight / sum * total + carry;
    const double mass = std::max(1.0, std::round(wanted));
    carry = wanted - mass;
    masses[i] = static_cast<std::uint64_t>(mass);
    spent += masses[i];
    if (masses[i] > masses[heaviest]) heaviest = i;
  }
  masses[heaviest] += static_cast<std::uint64_t>(weights.size()) * kSlotMass - spent;  // mod 2^64
  return masses;
}

// A table of millions of items does not fit into the cache: the slots of a chunk are chosen and
// prefetched, then read.
constexpr std::size_t kChunk = 256;

// u * V of each sample of a chunk without its lowest 32 bits: the slot, and the fraction below it.
using Places = std::array<std::uint64_t, kChunk>;

// Those of the samples that the blocks from `first` on give; `size` is V.
void choose_places(std::uint64_t seed, std::uint64_t step, std::uint32_t first, std::uint32_t size,
                   Places& places) {
  for (std::size_t p = 0; p < kChunk; p += 2 * kPhiloxAtOnce) {
    PhiloxWords word[4];
    philox_step_blocks(seed, step, 0, first + static_cast<std::uint32_t>(p / 2), word);
    for (std::size_t odd = 0; odd < 2; ++odd) {
      const PhiloxWords place =
          multiply_words(word[2 * odd], size) + (multiply_words(word[2 * odd + 1], size) >> 32);
      std::array<std::uint64_t, kPhiloxAtOnce> each;
      std::memcpy(each.data(), &place, sizeof(place));
      for (std::size_t i = 0; i < kPhiloxAtOnce; ++i) places[p + 2 * i + odd] = each[i];
    }
  }
}

}  // namespace

NegativeSampler::NegativeSampler(Span<double> weights) {
  const std::vector<std::uint64_t> masses = integer_masses(weights);
  const std::size_t size = masses.size();
  slots_.resize(size);

  // Two indices move upwards, one over items lighter than a slot and one over the others. The
  // heavy item fills the gap of each light slot; once it is itself lighter than a slot, the next
  // heavy item fills its gap. The sum is exact, so the last heavy item ends as a full slot.
  const auto next_light = [&](std::size_t i) {
    while (i < size && masses[i] >= kSlotMass) ++i;
    return i;
  };
  const auto next_heavy = [&](std::size_t i) {
    while (i < size && masses[i] < kSlotMass) ++i;
    return i;
  };
  std::size_t light = next_light(0);
  std::size_t heavy = next_heavy(0);
  std::uint64_t left = masses[heavy];  // the mean is one slot: there is a heavy item
  while (heavy < size) {
    if (left < kSlotMass) {
      const std::size_t next = next_heavy(heavy + 1);
      slots_[heavy] = {static_cast<std::uint32_t>(left), static_cast<std::int32_t>(next)};
      left = masses[next] - (kSlotMass - left);
      heavy = next;
    } else if (light < size && left > kSlotMass) {
      slots_[light] = {static_cast<std::uint32_t>(masses[light]), static_cast<std::int32_t>(heavy)};
      left -= kSlotMass - masses[light];
      light = next_light(light + 1);
    } else {
      // Exactly full. With alias = itself the threshold does not matter.
      slots_[heavy] = {0, static_cast<std::int32_t>(heavy)};
      heavy = next_heavy(heavy + 1);
      if (heavy < size) left = masses[heavy];
    }
  }
}

std::vector<double> NegativeSampler::probabilities() const {
  std::vector<std::uint64_t> masses(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    masses[i] += slots_[i].threshold;
    masses[static_cast<std::size_t>(slots_[i].alias)] += kSlotMass - slots_[i].threshold;
  }
  const double total = static_cast<double>(slots_.size()) * static_cast<double>(kSlotMass);
  std::vector<double> result(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    result[i] = static_cast<double>(masses[i]) / total;
  }
  return result;
}

std::vector<std::int32_t> NegativeSampler::draw(std::uint64_t seed, std::uint64_t first_step,
                                                std::int64_t steps, std::int64_t n) const {
  constexpr std::int64_t kMost = std::int64_t{1} << 33;  // two samples for each value of word 0
  if (steps < 0 || n < 0 || (n > 0 && steps > kMost / n)) {
    throw std::invalid_argument("steps is " + std::to_string(steps) + " and n is " +
                                std::to_string(n) +
                                "; expected both at least 0 and at most 2^33 samples at once, "
                                "draw fewer steps in a call");
  }
  const auto size = static_cast<std::uint32_t>(slots_.size());
  const auto columns = static_cast<std::size_t>(n);
  std::vector<std::int32_t> items(static_cast<std::size_t>(steps) * columns);
  Places places{};
  for (std::size_t t = 0; t < static_cast<std::size_t>(steps); ++t) {
    std::int32_t* row = items.data() + t * columns;
    for (std::size_t begin = 0; begin < columns; begin += kChunk) {
      choose_places(seed, first_step + t, static_cast<std::uint32_t>(begin / 2), size, places);
      const std::size_t count = std::min(kChunk, columns - begin);
      for (std::size_t i = 0; i < count; ++i) GRU4REC_FAST_PREFETCH(&slots_[places[i] >> 32]);
      for (std::size_t i = 0; i < count; ++i) {
        const Slot slot = slots_[places[i] >> 32];
        const auto own = static_cast<std::int32_t>(places[i] >> 32);
        // All bits or none: nobody could predict a branch.
        const std::int32_t is_alias =
            -static_cast<std::int32_t>(static_cast<std::uint32_t>(places[i]) >= slot.threshold);
        row[begin + i] = own ^ ((own ^ slot.alias) & is_alias);
      }
    }
  }
  return items;
}

}  // namespace gru4rec_fast
