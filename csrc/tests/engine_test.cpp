// Runs every kernel of every instruction set over small random problems, for the sanitizers to
// watch: results must not depend on the number of threads, and scans must equal a plain loop.
// That training is right is tested against the reference, in tests/test_training_step.py.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"

namespace gru4rec_fast {
namespace {

using Floats = std::vector<float>;

#define REQUIRE(condition)                                                 \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                        \
    }                                                                      \
  } while (false)

std::mt19937 generator(1);

Floats random_floats(std::ptrdiff_t n) {
  std::uniform_real_distribution<float> uniform(-0.3f, 0.3f);
  Floats values(static_cast<std::size_t>(n));
  for (float& value : values) value = uniform(generator);
  return values;
}

int below(int n) {
  return std::uniform_int_distribution<int>(0, n - 1)(generator);
}

// Memory of exactly the parameter's size, so that a step beyond it is seen. The state of a matrix
// row is its accumulators, then its momenta.
struct OwnedParameter {
  Floats value, state;
  std::ptrdiff_t rows = 0, columns = 0;

  OwnedParameter() = default;
  OwnedParameter(std::ptrdiff_t r, std::ptrdiff_t c)
      : value(random_floats(r * c)), state(2 * value.size()), rows(r), columns(c) {}

  Parameter view(bool with_momentum) {
    const std::ptrdiff_t stride = columns > 1 && with_momentum ? 2 * columns : columns;
    float* momentum = state.data() + (columns > 1 ? columns : rows);
    return {value.data(), state.data(), with_momentum ? momentum : nullptr, rows, columns, stride};
  }
};

struct OwnedCell {
  OwnedParameter w_ih, w_hh, w_h, b_ih, b_hh;
};

enum class Embedding { kShared, kSeparate, kOneHot };

struct Model {
  OwnedParameter wy, by, input;
  std::vector<OwnedCell> cells;
  std::vector<Cell> views;
  Network network;

  Model(std::ptrdiff_t items, std::ptrdiff_t inputs, const std::vector<int>& layers,
        Embedding embedding)
      : wy(items, layers.back()), by(items, 1) {
    std::ptrdiff_t width = embedding == Embedding::kShared ? layers.back() : inputs;
    if (embedding == Embedding::kOneHot) width = 3 * layers.front();
    if (embedding != Embedding::kShared) input = OwnedParameter(items, width);
    for (const int H : layers) {
      OwnedCell cell;
      if (embedding == Embedding::kOneHot && cells.empty()) {
        cell.w_hh = OwnedParameter(H, 2 * H);
        cell.w_h = OwnedParameter(H, H);
      } else {
        cell.w_ih = OwnedParameter(3 * H, width);
        cell.w_hh = OwnedParameter(3 * H, H);
        cell.b_hh = OwnedParameter(3 * H, 1);
      }
      cell.b_ih = OwnedParameter(3 * H, 1);
      cells.push_back(cell);
      width = H;
    }
  }

  const Network& view(Embedding embedding, bool momentum) {
    views.clear();
    for (OwnedCell& cell : cells) {
      Cell v;
      v.reset_before = embedding == Embedding::kOneHot && views.empty();
      v.units = v.reset_before ? cell.w_h.rows : cell.w_hh.columns;
      v.inputs = v.reset_before ? 3 * v.units : cell.w_ih.columns;
      v.w_ih = cell.w_ih.view(momentum);
      v.w_hh = cell.w_hh.view(momentum);
      v.w_h = cell.w_h.view(momentum);
      v.b_ih = cell.b_ih.view(momentum);
      v.b_hh = cell.b_hh.view(momentum);
      views.push_back(v);
    }
    network.wy = wy.view(momentum);
    network.by = by.view(momentum);
    network.shared = embedding == Embedding::kShared;
    network.input = network.shared ? network.wy : input.view(momentum);
    network.cells = views.data();
    network.n_cells = static_cast<int>(views.size());
    return network;
  }
};

struct Plan {
  std::vector<std::uint8_t> restarts;
  std::vector<std::int32_t> source, live, rows, targets, samples, target_row, input_row, scored,
      touched;
  BlockPlan block;

  Plan(int steps, int lanes, int n_scored, int items) {
    const int width = n_scored + 2;
    for (int t = 0; t < steps; ++t) {
      const int alive = t == steps - 1 ? lanes - 1 : lanes;
      std::vector<std::int32_t> permutation(static_cast<std::size_t>(items));
      for (int i = 0; i < items; ++i) permutation[static_cast<std::size_t>(i)] = i;
      std::shuffle(permutation.begin(), permutation.end(), generator);
      rows.insert(rows.end(), permutation.begin(), permutation.begin() + width);
      std::vector<std::int32_t> counts(static_cast<std::size_t>(width));
      for (int i = 0; i < lanes; ++i) {
        restarts.push_back(t == 0 || below(4) == 0);
        source.push_back(i);
        target_row.push_back(below(n_scored));
        input_row.push_back(below(width));
        if (i < alive) ++counts[static_cast<std::size_t>(target_row.back())];
      }
      targets.insert(targets.end(), counts.begin(), counts.end());
      for (int u = 0; u < width; ++u) {
        samples.push_back(u < n_scored ? 1 + below(2) : 0);
      }
      live.push_back(alive);
      scored.push_back(n_scored);
      touched.push_back(width);
    }
    block.steps = steps;
    block.lanes = lanes;
    block.width = width;
    block.restarts = restarts.data();
    block.source = source.data();
    block.live = live.data();
    block.rows = rows.data();
    block.target_count = targets.data();
    block.sample_count = samples.data();
    block.target_row = target_row.data();
    block.input_row = input_row.data();
    block.scored = scored.data();
    block.touched = touched.data();
  }
};

struct Result {
  Floats losses, wy, states;
  bool operator==(const Result& other) const {
    return losses == other.losses && wy == other.wy && states == other.states;
  }
};

Result train(Model model, Embedding embedding, const Settings& settings, Plan& plan, int threads) {
  Result result;
  result.losses.resize(static_cast<std::size_t>(plan.block.steps));
  std::vector<Floats> rooms;
  std::vector<LayerState> states;
  const Network& network = model.view(embedding, settings.momentum > 0);
  for (const Cell& cell : model.views) {
    rooms.emplace_back(static_cast<std::size_t>(plan.block.lanes * cell.units));
    states.push_back({rooms.back().data(), plan.block.lanes});
  }
  kernels().train_block(network, settings, plan.block, states.data(), result.losses.data(),
                        threads);
  for (const float loss : result.losses) REQUIRE(std::isfinite(loss));
  result.wy = model.wy.value;
  result.states = rooms.back();
  return result;
}

void test_training() {
  constexpr int kItems = 700;
  const std::vector<std::int64_t> support(kItems, 7);
  // Small and odd sizes for the ends of loops; large ones so that threads share them, and so that
  // item rows are packed.
  for (const int H : {5, 70, 215}) {
    for (const auto embedding : {Embedding::kShared, Embedding::kSeparate, Embedding::kOneHot}) {
      for (const auto loss : {Loss::kCrossEntropy, Loss::kBprMax}) {
        Settings settings;
        settings.loss = loss;
        settings.batch_size = H == 5 ? 3 : H == 70 ? 37 : 79;
        settings.dropout_embed = 0.2;
        settings.dropout_hidden = 0.3;
        settings.learning_rate = 0.05f;
        settings.momentum = H == 5 ? 0.0f : 0.2f;
        settings.bpreg = 1.0f;
        settings.elu = 0.5f;
        settings.logq = 1.0f;
        settings.alpha = 0.5f;
        settings.seed = 3;
        settings.support = support.data();
        Plan plan(3, static_cast<int>(settings.batch_size), H == 5 ? 11 : 600, kItems);
        const Model model(kItems, 9, {H + 3, H}, embedding);
        const Result one = train(model, embedding, settings, plan, 1);
        REQUIRE(one == train(model, embedding, settings, plan, 2));
        REQUIRE(one == train(model, embedding, settings, plan, 3));
      }
    }
  }
}

void test_scans() {
  constexpr int kRows = 35, kUnits = 37, kItems = 9001;
  const Floats features = random_floats(kRows * kUnits), w = random_floats(kItems * kUnits);
  const Floats b = random_floats(kItems);
  std::vector<std::int64_t> targets;
  for (int i = 0; i < kRows; ++i) targets.push_back(below(kItems));
  for (const int threads : {1, 3}) {
    std::vector<std::int64_t> greater(kRows), equal(kRows), best(kRows * 10);
    Floats scores(kRows * 10);
    kernels().rank_counts(features.data(), kRows, kUnits, w.data(), b.data(), kItems,
                          targets.data(), greater.data(), equal.data(), threads);
    kernels().top_k(features.data(), kRows, kUnits, w.data(), b.data(), kItems, 10, scores.data(),
                    best.data(), threads);
    for (std::size_t i = 0; i < kRows; ++i) {
      REQUIRE(equal[i] >= 1);
      REQUIRE(greater[i] >= 0 && greater[i] + equal[i] <= kItems);
      // A target among the best ten has as many items above it as its place tells.
      for (std::size_t j = 0; j < 10; ++j) {
        if (best[i * 10 + j] == targets[i]) REQUIRE(greater[i] <= static_cast<std::int64_t>(j));
        if (j > 0) REQUIRE(scores[i * 10 + j] <= scores[i * 10 + j - 1]);
      }
    }
    Floats chosen(kRows * best.size());
    kernels().score_items(features.data(), kRows, kUnits, w.data(), b.data(), best.data(),
                          kRows * 10, chosen.data(), threads);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (std::size_t j = 0; j < 10; ++j) {
        REQUIRE(chosen[i * best.size() + i * 10 + j] == scores[i * 10 + j]);
      }
    }
  }
}

void test_updates() {
  for (const int columns : {1, 7, 33}) {
    OwnedParameter p(20, columns), q(20, columns);
    const Floats g = random_floats(6 * columns);
    const std::vector<std::int64_t> rows = {19, 0, 3, 7, 11, 5};
    kernels().update_rows(p.view(true), rows.data(), 6, g.data(), 0.1f, 0.3f);
    const Floats all = random_floats(20 * columns);
    kernels().update_rows(q.view(false), nullptr, 20, all.data(), 0.1f, 0.0f);
    for (const float value : p.value) REQUIRE(std::isfinite(value));
    for (const float value : q.value) REQUIRE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace gru4rec_fast

int main() {
  for (const std::string& name : gru4rec_fast::instruction_sets()) {
    gru4rec_fast::use_instruction_set(name);
    gru4rec_fast::test_training();
    gru4rec_fast::test_scans();
    gru4rec_fast::test_updates();
    std::printf("%s: passed\n", name.c_str());
  }
}
