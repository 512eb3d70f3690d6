#include "baselines/bpr_mf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "data/prefetch.h"

namespace gru4rec_fast {
namespace {

// Rows are far apart: they are requested this many triples before their use.
constexpr std::size_t kTriplesAhead = 8;
constexpr std::int64_t kFloatsPerCacheLine = 16;
constexpr std::int64_t kPartialSums = 8;  // independent additions that the compiler can vectorise

struct Triple {
  float* u;
  float* i;
  float* j;
};

float product_difference(const float* w, const float* a, const float* b, std::int64_t n) {
  std::array<float, kPartialSums> partial{};
  std::int64_t f = 0;
  for (; f + kPartialSums <= n; f += kPartialSums) {
    for (std::int64_t p = 0; p < kPartialSums; ++p) {
      partial[static_cast<std::size_t>(p)] += w[f + p] * (a[f + p] - b[f + p]);
    }
  }
  float sum = 0.0f;
  for (const float value : partial) sum += value;
  for (; f < n; ++f) sum += w[f] * (a[f] - b[f]);
  return sum;
}

void update(const Triple& triple, const BprOptions& options) {
  float* __restrict w = triple.u;
  float* __restrict a = triple.i;
  float* __restrict b = triple.j;
  const std::int64_t n = options.n_factors;
  const float x = product_difference(w, a, b, n);
  const float step = options.learning_rate / (1.0f + std::exp(x));
  const float shrink = 1.0f - options.learning_rate * options.regularization;
  for (std::int64_t f = 0; f < n; ++f) {
    const float old = w[f];
    w[f] = shrink * old + step * (a[f] - b[f]);
    a[f] = shrink * a[f] + step * old;
    b[f] = shrink * b[f] - step * old;
  }
}

class TripleSampler {
 public:
  TripleSampler(const SessionIndex& index, float* sessions, float* items, const BprOptions& options)
      : index_(index),
        sessions_(sessions),
        items_(items),
        n_factors_(options.n_factors),
        random_(options.seed) {
    for (std::int64_t s = 0; s < index.n_sessions(); ++s) {
      const auto of_session = index.items_of(s);
      if (of_session.size() == index.n_items()) continue;
      for (const std::int32_t item : of_session) {
        session_.push_back(static_cast<std::int32_t>(s));
        item_.push_back(item);
      }
    }
  }

  std::size_t n_pairs() const { return session_.size(); }

  Triple draw() {
    const auto pair = static_cast<std::size_t>(below(session_.size()));
    const std::int64_t session = session_[pair];
    const auto known = index_.items_of(session);
    std::int32_t j;
    do {
      j = static_cast<std::int32_t>(below(static_cast<std::uint64_t>(index_.n_items())));
    } while (std::binary_search(known.begin(), known.end(), j));
    const Triple triple{row(sessions_, session), row(items_, item_[pair]), row(items_, j)};
    for (std::int64_t f = 0; f < n_factors_; f += kFloatsPerCacheLine) {
      GRU4REC_FAST_PREFETCH(triple.u + f);
      GRU4REC_FAST_PREFETCH(triple.i + f);
      GRU4REC_FAST_PREFETCH(triple.j + f);
    }
    return triple;
  }

 private:
  // Uniform in 0..n-1, n < 2^32.
  std::uint64_t below(std::uint64_t n) { return ((random_() >> 32) * n) >> 32; }
  float* row(float* table, std::int64_t r) const { return table + r * n_factors_; }

  const SessionIndex& index_;
  float* sessions_;
  float* items_;
  std::int64_t n_factors_;
  std::mt19937_64 random_;
  std::vector<std::int32_t> session_, item_;  // of each pair
};

}  // namespace

void train_bpr_mf(const SessionIndex& index, float* sessions, float* items,
                  const BprOptions& options) {
  TripleSampler sampler(index, sessions, items, options);
  if (sampler.n_pairs() == 0) return;
  std::array<Triple, kTriplesAhead> ahead;
  for (Triple& triple : ahead) triple = sampler.draw();
  const std::size_t steps = sampler.n_pairs() * static_cast<std::size_t>(options.n_epochs);
  for (std::size_t t = 0; t < steps; ++t) {
    Triple& slot = ahead[t % kTriplesAhead];
    update(slot, options);
    slot = sampler.draw();
  }
}

}  // namespace gru4rec_fast
