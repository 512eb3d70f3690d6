#include "isa/optimisers/gradient_cap.h"

#include <cmath>
#include <cstdlib>

#include "isa/vector_math.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

// Places that a thread takes at a time.
constexpr Index kChunk = 96;

// Floats that are worth sharing among threads.
constexpr Index kLong = 100000;

}  // namespace

GradientCap::Collected::Collected(const Parameter& parameter, RowOrigin rows_origin, Index max_rows)
    : p(parameter),
      origin(rows_origin),
      places(max_rows),
      stride(round_up(parameter.columns, kWidth)),
      g(max_rows * stride),
      squares(max_rows),
      rows(max_rows),
      size(max_rows) {}

void GradientCap::add(const Parameter& p, RowOrigin origin, Index max_rows) {
  collected_.push_back(std::unique_ptr<Collected>(new Collected(p, origin, max_rows)));
}

GradientCap::Collected& GradientCap::find(const Parameter& p, RowOrigin origin) const {
  for (const std::unique_ptr<Collected>& c : collected_) {
    if (c->p.value == p.value && c->origin == origin) return *c;
  }
  std::abort();  // add() was not called for the parameter
}

void GradientCap::update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
                         RowOrigin origin) const {
  if (rows.size() == 0) return;
  Collected& c = find(p, origin);
  const Index n = p.columns;
  for (Index i = 0; i < rows.size(); ++i, g += g_stride) {
    const Index place = rows.begin + i;
    float* to = c.g.data() + place * c.stride;
    for (Index k = 0; k < n; ++k) to[k] = g[k];
    c.squares.data()[place] = sum_of_squares(g, n);
    c.rows[place] = static_cast<std::int32_t>(rows[i]);
  }
  c.size[rows.begin] = static_cast<std::int32_t>(rows.size());
}

// The sum is in the order of the places, which depends on no thread.
float GradientCap::scale() const {
  double total = 0;
  for (const std::unique_ptr<Collected>& c : collected_) {
    for (Index place = 0; place < c->places; ++place) {
      total += static_cast<double>(c->squares.data()[place]);
      c->squares.data()[place] = 0;
    }
  }
  const double norm = std::sqrt(total);
  return norm >= cap_ ? static_cast<float>(cap_ / norm) : 1.0f;
}

// Hands on the groups that begin at the places begin .. end - 1.
void GradientCap::hand_on(Collected& c, Index begin, Index end, float scale) const {
  const Parameter& p = c.p;
  for (Index first = begin; first < end; ++first) {
    const Index n = c.size[first];
    if (n == 0) continue;
    c.size[first] = 0;
    const RowList rows{c.rows.data(), first, first + n};
    float* g = c.g.data() + first * c.stride;
    if (p.rows > n) {
      prefetch_pages(value_rows(p, rows));
      prefetch_pages(state_rows(p, rows));
    }
    if (scale != 1.0f) {
      for (Index k = 0; k < n * c.stride; k += kWidth) store(g + k, load(g + k) * scale);
    }
    optimiser_.update(p, rows, g, c.stride, c.origin);
  }
}

void GradientCap::finish_step(ThreadPool& pool) const {
  const float by = scale();
  for (const std::unique_ptr<Collected>& c : collected_) {
    const Index chunks = (c->places + kChunk - 1) / kChunk;
    pool.run(chunks, c->places * c->p.columns > kLong, [&](Index chunk, int) {
      hand_on(*c, chunk * kChunk, at_most((chunk + 1) * kChunk, c->places), by);
    });
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
