// Runs every kernel of every instruction set over small random problems, for the sanitizers to
// watch: results must not depend on the number of threads, and ranks, best items and scores must
// agree. The tests in Python compare the results with the reference.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/dispatch.h"

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

// Memory of exactly the parameter's size, so that an access beyond it is seen. The two state tables
// of a matrix row lie side by side.
struct OwnedParameter {
  Floats value, state;
  std::ptrdiff_t rows = 0, columns = 0;

  OwnedParameter() = default;
  OwnedParameter(std::ptrdiff_t r, std::ptrdiff_t c)
      : value(random_floats(r * c)), state(2 * value.size()), rows(r), columns(c) {}

  Parameter view(int tables) {
    Parameter p;
    p.value = value.data();
    p.rows = rows;
    p.columns = columns;
    const bool together = columns > 1 && rows > 1;
    for (int k = 0; k < tables; ++k) {
      p.state[k].first = state.data() + k * (together ? columns : rows * columns);
      p.state[k].stride = together ? tables * columns : columns;
    }
    return p;
  }
};

template <class Kind>
int index_of(const Kind* (*table)(int), const std::string& name) {
  for (int i = 0; table(i) != nullptr; ++i) {
    if (name == table(i)->name) return i;
  }
  std::fprintf(stderr, "no part is named %s\n", name.c_str());
  std::exit(1);
}

// Copies its option values from pairs of name and value.
using Options = std::vector<std::pair<std::string, float>>;

OptionValues values_of(const char* const* names, const Options& options) {
  OptionValues values;
  for (int i = 0; names[i] != nullptr; ++i) {
    for (const auto& [name, value] : options) {
      if (name == names[i]) values.value[i] = value;
    }
  }
  return values;
}

enum class Embedding { kShared, kSeparate, kOneHot };

struct Model {
  OwnedParameter wy, by, input;
  std::vector<std::vector<OwnedParameter>> weights;  // of each layer
  std::vector<Layer> layers;
  Network network;

  Model(std::ptrdiff_t items, std::ptrdiff_t inputs, const std::vector<int>& units,
        Embedding embedding)
      : wy(items, units.back()), by(items, 1) {
    std::ptrdiff_t width = embedding == Embedding::kShared ? units.back() : inputs;
    if (embedding == Embedding::kOneHot) width = 3 * units.front();
    if (embedding != Embedding::kShared) input = OwnedParameter(items, width);
    network.shared = embedding == Embedding::kShared;
    for (const int H : units) {
      const bool one_hot = embedding == Embedding::kOneHot && layers.empty();
      Layer layer;
      layer.cell = index_of(kernels().cell, one_hot ? "gru-reset-before" : "gru-reset-after");
      layer.inputs = width;
      layer.units = H;
      layer.dropout = {static_cast<int>(layers.size()) + 1, 0.3};
      layers.push_back(layer);
      const CellKind& kind = *kernels().cell(layer.cell);
      MatrixSize sizes[kMaxWeights];
      kind.weight_sizes(width, H, sizes);
      weights.emplace_back();
      for (int i = 0; i < kind.weights; ++i) {
        weights.back().emplace_back(sizes[i].rows, sizes[i].columns);
      }
      width = H;
    }
    if (embedding != Embedding::kOneHot) network.input_dropout = {0, 0.2};
  }

  const Network& view(int tables) {
    for (std::size_t l = 0; l < layers.size(); ++l) {
      for (std::size_t i = 0; i < weights[l].size(); ++i) {
        layers[l].weights[i] = weights[l][i].view(tables);
      }
    }
    network.wy = wy.view(tables);
    network.by = by.view(tables);
    network.input = network.shared ? network.wy : input.view(tables);
    network.layers = layers.data();
    network.n_layers = static_cast<int>(layers.size());
    return network;
  }
};

struct Block {
  std::vector<std::uint8_t> restarts;
  std::vector<std::int32_t> source, live, rows, targets, samples, target_row, input_row, scored,
      touched;
  StepBlock block;

  Block(int steps, int lanes, int n_scored, int items) {
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

// Trains the block twice, the second time from the states of the first.
Result train(Model model, const TrainingSettings& settings, int tables, const StepBlock& block,
             int threads) {
  Result result;
  result.losses.resize(static_cast<std::size_t>(block.steps));
  std::vector<Floats> floats;
  std::vector<LayerState> states;
  for (const Layer& layer : model.layers) {
    floats.emplace_back(static_cast<std::size_t>(block.lanes * layer.units));
    states.push_back({floats.back().data(), block.lanes});
  }
  const std::unique_ptr<TrainingStep> step(
      kernels().make_training_step(model.view(tables), settings));
  for (int epoch = 0; epoch < 2; ++epoch) {
    step->train_block(block, states.data(), result.losses.data(), threads);
    for (const float loss : result.losses) REQUIRE(std::isfinite(loss));
    for (LayerState& state : states) state.rows = block.lanes;
  }
  result.wy = model.wy.value;
  result.states = floats.back();
  return result;
}

void test_training() {
  constexpr int kItems = 700;
  const std::vector<std::int64_t> support(kItems, 7);
  const int optimiser = index_of(kernels().optimiser, "adagrad");
  const OptimiserKind& adagrad = *kernels().optimiser(optimiser);
  // Small and odd sizes for the ends of loops; large ones so that threads share them, and so that
  // item rows are packed.
  for (const int H : {5, 70, 215}) {
    for (const auto embedding : {Embedding::kShared, Embedding::kSeparate, Embedding::kOneHot}) {
      for (int loss = 0; kernels().loss(loss) != nullptr; ++loss) {
        const int lanes = H == 5 ? 3 : H == 70 ? 37 : 79;
        TrainingSettings settings;
        settings.loss = loss;
        settings.loss_options = values_of(
            kernels().loss(loss)->options,
            {{"bpreg", 1.0f}, {"elu_param", 0.5f}, {"logq", 1.0f}, {"sample_alpha", 0.5f}});
        settings.optimiser = optimiser;
        settings.optimiser_options = values_of(
            adagrad.options, {{"learning_rate", 0.05f}, {"momentum", H == 5 ? 0.0f : 0.2f}});
        settings.batch_size = lanes;
        settings.seed = 3;
        settings.support = support.data();
        const int tables = adagrad.count_tables(settings.optimiser_options);
        const Block block(3, lanes, H == 5 ? 11 : 600, kItems);
        const Model model(kItems, 9, {H + 3, H}, embedding);
        const Result one = train(model, settings, tables, block.block, 1);
        REQUIRE(one == train(model, settings, tables, block.block, 2));
        REQUIRE(one == train(model, settings, tables, block.block, 3));
      }
    }
  }
}

void test_ranks() {
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
      // A target at place j of the best ten has at most j items above it.
      for (std::size_t j = 0; j < 10; ++j) {
        if (best[i * 10 + j] == targets[i]) REQUIRE(greater[i] <= static_cast<std::int64_t>(j));
        if (j > 0) REQUIRE(scores[i * 10 + j] <= scores[i * 10 + j - 1]);
      }
    }
    Floats chosen(kRows * best.size());
    kernels().item_scores(features.data(), kRows, kUnits, w.data(), b.data(), best.data(),
                          kRows * 10, chosen.data(), threads);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (std::size_t j = 0; j < 10; ++j) {
        REQUIRE(chosen[i * best.size() + i * 10 + j] == scores[i * 10 + j]);
      }
    }
  }
}

void test_updates() {
  const int optimiser = index_of(kernels().optimiser, "adagrad");
  const OptimiserKind& kind = *kernels().optimiser(optimiser);
  const std::vector<std::int32_t> rows = {19, 0, 3, 7, 11, 5};
  for (const float momentum : {0.0f, 0.3f}) {
    const OptionValues options =
        values_of(kind.options, {{"learning_rate", 0.1f}, {"momentum", momentum}});
    const int tables = kind.count_tables(options);
    for (const int columns : {1, 7, 33}) {
      OwnedParameter p(20, columns), q(20, columns);
      const Floats g = random_floats(6 * columns), all = random_floats(20 * columns);
      kernels().update_rows(optimiser, options, p.view(tables), rows.data(), 6, g.data());
      kernels().update_rows(optimiser, options, q.view(tables), nullptr, 20, all.data());
      for (const float value : p.value) REQUIRE(std::isfinite(value));
      for (const float value : q.value) REQUIRE(std::isfinite(value));
    }
  }
}

}  // namespace
}  // namespace gru4rec_fast

int main() {
  for (const std::string& name : gru4rec_fast::instruction_sets()) {
    gru4rec_fast::use_instruction_set(name);
    gru4rec_fast::test_training();
    gru4rec_fast::test_ranks();
    gru4rec_fast::test_updates();
    std::printf("%s: passed\n", name.c_str());
  }
}
