// Sessions run side by side in lanes, the longest first, so that the lanes that still have events
// are always the first ones. It computes by the layers of the training step, without dropout.
#include "isa/forward_pass.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "isa/half_rows.h"
#include "isa/index_array.h"
#include "isa/layer.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kLanes = 64;

// Lane i goes on from lane i, and no lane restarts.
constexpr std::uint8_t kNoRestarts[kLanes] = {};

struct Session {
  Index number;
  const std::int64_t* items;
  Index events;
};

struct Longer {
  bool operator()(const Session& a, const Session& b) const {
    return a.events > b.events || (a.events == b.events && a.number < b.number);
  }
};

// The buffers for up to `lanes` lanes.
class Lanes {
 public:
  Lanes(const Network& network, Index lanes);

  // Runs up to `lanes` sessions, the longest first.
  void run(const Session* sessions, Index n, float* const* states, float* features,
           ThreadPool& pool);

 private:
  void exchange_states(const Session* sessions, Index n, float* const* states, bool load);
  void step(const Session* sessions, Index live, Index t, ThreadPool& pool);

  Network network_;
  IndexArray source_;
  std::vector<LayerStep> layers_;
};

Lanes::Lanes(const Network& network, Index lanes) : network_(network), source_(lanes) {
  for (Index i = 0; i < lanes; ++i) source_[i] = static_cast<std::int32_t>(i);
  layers_.reserve(static_cast<std::size_t>(network.n_layers));
  for (int l = 0; l < network.n_layers; ++l) {
    Layer layer = network.layers[l];
    layer.dropout.rate = 0;
    layers_.push_back(LayerStep(layer, lanes));
  }
}

void Lanes::exchange_states(const Session* sessions, Index n, float* const* states, bool load) {
  for (LayerStep& layer : layers_) {
    const Index width = layer.state_width();
    if (width == 0) continue;
    float* const state = *states++;
    for (Index i = 0; i < n; ++i) {
      float* const row = state + sessions[i].number * width;
      if (load) {
        layer.load_lane(i, row);
      } else {
        layer.store_lane(i, row);
      }
    }
  }
}

void Lanes::step(const Session* sessions, Index live, Index t, ThreadPool& pool) {
  PlannedStep step{};
  step.live = live;
  step.restarts = kNoRestarts;
  step.source = source_.data();
  LayerStep* below = nullptr;
  for (LayerStep& layer : layers_) {
    CellBuffers& b = layer.buffers();
    if (below == nullptr) {
      for (Index i = 0; i < live; ++i) {
        read_row(network_.input, sessions[i].items[t], b.x.data() + i * b.input_stride);
      }
    } else {
      copy(b.x.data(), below->output(), live * b.input_stride);
    }
    layer.forward(step, 0, pool);
    below = &layer;
  }
}

void Lanes::run(const Session* sessions, Index n, float* const* states, float* features,
                ThreadPool& pool) {
  exchange_states(sessions, n, states, true);
  Index live = n;
  for (Index t = 0; t < sessions[0].events; ++t) {
    while (sessions[live - 1].events <= t) --live;
    step(sessions, live, t, pool);
  }
  exchange_states(sessions, n, states, false);
  const Index F = network_.wy.columns, stride = layers_.back().buffers().unit_stride;
  for (Index i = 0; i < n; ++i) {
    float* const to = features + sessions[i].number * F;
    if (sessions[i].events > 0) {
      copy(to, layers_.back().output() + i * stride, F);
    } else {
      std::memset(to, 0, static_cast<std::size_t>(F) * sizeof(float));
    }
  }
}

class Pass final : public ForwardPass {
 public:
  explicit Pass(const Network& network) : network_(network) {}

  void advance(const SessionEvents& events, float* const* states, float* features,
               int threads) override;

 private:
  Lanes& lanes_for(Index sessions) {
    auto& lanes = sessions <= kWidth ? few_ : many_;
    if (lanes == nullptr) lanes.reset(new Lanes(network_, sessions <= kWidth ? kWidth : kLanes));
    return *lanes;
  }

  Network network_;
  std::unique_ptr<Lanes> few_, many_;  // rows of `few_` are a vector long, which takes less cache
};

void Pass::advance(const SessionEvents& events, float* const* states, float* features,
                   int threads) {
  std::vector<Session> sessions;
  sessions.reserve(static_cast<std::size_t>(events.sessions));
  bool in_order = true;
  for (Index r = 0; r < events.sessions; ++r) {
    const Index first = events.offsets[r];
    sessions.push_back({r, events.items + first, events.offsets[r + 1] - first});
    in_order = in_order && (r == 0 || !Longer()(sessions.back(), *(sessions.end() - 2)));
  }
  if (!in_order) std::sort(sessions.begin(), sessions.end(), Longer());
  ThreadPool pool(threads);
  for (Index first = 0; first < events.sessions; first += kLanes) {
    const Index n = at_most(events.sessions - first, kLanes);
    lanes_for(n).run(sessions.data() + first, n, states, features, pool);
  }
}

}  // namespace

ForwardPass* make_forward_pass(const Network& network) {
  return new Pass(network);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
