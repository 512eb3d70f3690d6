// Runs every kernel of every instruction set over small random problems, for the sanitizers to
// watch: results must not depend on the number of threads, and ranks, best items and scores must
// agree. The tests in Python compare the results with the reference.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/dispatch.h"
#include "tests/random_problem.h"
#include "tests/require.h"

namespace gru4rec_fast {
namespace {

struct Result {
  Floats losses, wy, states;
  std::vector<std::uint16_t> half;
  bool operator==(const Result& other) const {
    return losses == other.losses && wy == other.wy && states == other.states && half == other.half;
  }
};

// Trains the block twice, the second time from the states of the first.
Result train(Model model, const TrainingSettings& settings, const StepBlock& block, int threads) {
  Result result;
  result.losses.resize(static_cast<std::size_t>(block.steps));
  std::vector<Floats> floats;
  std::vector<LayerState> states;
  for (const Layer& layer : model.layers) {
    const std::ptrdiff_t width = kernels().cell(layer.cell)->states * layer.units;
    floats.emplace_back(static_cast<std::size_t>(block.lanes * width));
    states.push_back({floats.back().data(), block.lanes});
  }
  const std::unique_ptr<TrainingStep> step(
      kernels().make_training_step(model.view(settings), settings));
  for (int epoch = 0; epoch < 2; ++epoch) {
    step->train_block(block, states.data(), result.losses.data(), threads);
    for (const float loss : result.losses) REQUIRE(std::isfinite(loss));
    for (LayerState& state : states) state.rows = block.lanes;
  }
  result.wy = model.wy.value;
  result.half = model.wy.half;
  for (const Floats& values : floats) {
    result.states.insert(result.states.end(), values.begin(), values.end());
  }
  return result;
}

constexpr int kItems = 700;
const std::vector<std::int64_t> kSupport(kItems, 7);

const Options kOptimiserOptions = {
    {"learning_rate", 0.01f}, {"rho", 0.9f}, {"beta1", 0.9f}, {"beta2", 0.99f}, {"lmbd", 0.0f}};

// One thread, two and three must give the same.
void require_equal_results(int H, const std::vector<int>& cells, Embedding embedding,
                           TrainingSettings settings, bool half = false) {
  // Small and odd sizes for the ends of loops; large ones so that threads share them, and so that
  // item rows are packed.
  const int lanes = H == 5 ? 3 : H == 70 ? 37 : 79;
  settings.batch_size = lanes;
  settings.seed = 3;
  settings.support = kSupport.data();
  const Block block(3, lanes, H == 5 ? 11 : 600, kItems);
  Model model(kItems, 9, H, cells, embedding);
  if (half) model.make_half();
  const Result one = train(model, settings, block.block, 1);
  REQUIRE(one == train(model, settings, block.block, 2));
  REQUIRE(one == train(model, settings, block.block, 3));
}

// Sessions beside others and alone, and by one thread and three, must have the same features.
void require_equal_features(Model model, const TrainingSettings& settings) {
  constexpr std::ptrdiff_t kSessions = 70;
  std::vector<std::int64_t> items, offsets = {0};
  for (std::ptrdiff_t r = 0; r < kSessions; ++r) {
    for (int e = below(4); e > 0; --e) items.push_back(below(kItems));
    offsets.push_back(static_cast<std::int64_t>(items.size()));
  }
  const Network& network = model.view(settings);
  const std::unique_ptr<ForwardPass> pass(kernels().make_forward_pass(network));
  const auto units = static_cast<std::size_t>(network.wy.columns);
  const auto features_of = [&](std::ptrdiff_t first, std::ptrdiff_t n, int threads) {
    std::vector<std::int64_t> own = {0};
    for (std::ptrdiff_t r = first; r < first + n; ++r) {
      const auto i = static_cast<std::size_t>(r);
      own.push_back(own.back() + offsets[i + 1] - offsets[i]);
    }
    std::vector<Floats> floats;
    std::vector<float*> states;
    for (const Layer& layer : model.layers) {
      const std::ptrdiff_t width = kernels().cell(layer.cell)->states * layer.units;
      if (width == 0) continue;
      floats.emplace_back(static_cast<std::size_t>(n * width));
      states.push_back(floats.back().data());
    }
    Floats features(static_cast<std::size_t>(n) * units);
    pass->advance({items.data() + offsets[static_cast<std::size_t>(first)], own.data(), n},
                  states.data(), features.data(), threads);
    return features;
  };
  const Floats all = features_of(0, kSessions, 1);
  REQUIRE(all == features_of(0, kSessions, 3));
  for (const std::ptrdiff_t r : {0, 63, 64, 69}) {
    const auto begin = all.begin() + r * network.wy.columns;
    REQUIRE(features_of(r, 1, 1) == Floats(begin, begin + network.wy.columns));
  }
}

void choose_optimiser(int index, Options options, TrainingSettings* settings) {
  options.insert(options.begin(), kOptimiserOptions.begin(), kOptimiserOptions.end());
  settings->optimiser = index;
  settings->optimiser_options = values_of(kernels().optimiser(index)->options, options);
}

std::vector<int> default_cells(Embedding embedding) {
  const char* first = embedding == Embedding::kOneHot ? "gru-reset-before" : "gru-reset-after";
  return {index_of(kernels().cell, first), index_of(kernels().cell, "gru-reset-after")};
}

// Two layers of each cell, below a feed-forward layer.
void test_cells() {
  const int feed_forward = index_of(kernels().cell, "feed-forward");
  for (const int H : {5, 70}) {
    for (const auto embedding : {Embedding::kShared, Embedding::kSeparate, Embedding::kOneHot}) {
      for (int cell = 0; kernels().cell(cell)->states > 0; ++cell) {
        TrainingSettings settings;
        settings.loss = index_of(kernels().loss, "cross-entropy");
        settings.grad_cap = H == 5 ? 0.1 : 0.0;
        choose_optimiser(index_of(kernels().optimiser, "adagrad"), {{"momentum", 0.2f}}, &settings);
        require_equal_results(H, {cell, cell, feed_forward}, embedding, settings);
        require_equal_features(Model(kItems, 9, H, {cell, cell, feed_forward}, embedding),
                               settings);
      }
    }
  }
}

void test_loss(int loss, int H, Embedding embedding, float smoothing) {
  static int activation = 0;
  // The activations take turns.
  if (kernels().activation(++activation) == nullptr) activation = 0;
  TrainingSettings settings;
  settings.loss = loss;
  settings.loss_options = values_of(
      kernels().loss(loss)->options,
      {{"bpreg", 1.0f}, {"logq", 1.0f}, {"sample_alpha", 0.5f}, {"smoothing", smoothing}});
  settings.activation = {activation, {1.1f, 0.5f}};
  choose_optimiser(index_of(kernels().optimiser, "adagrad"), {{"momentum", H == 5 ? 0.0f : 0.2f}},
                   &settings);
  require_equal_results(H, default_cells(embedding), embedding, settings);
}

void test_losses() {
  const int cross_entropy = index_of(kernels().loss, "cross-entropy");
  for (const int H : {5, 70, 215}) {
    for (int loss = 0; kernels().loss(loss) != nullptr; ++loss) {
      for (const auto embedding : {Embedding::kShared, Embedding::kSeparate, Embedding::kOneHot}) {
        if (H < 100 || embedding == Embedding::kShared) test_loss(loss, H, embedding, 0.0f);
      }
    }
    test_loss(cross_entropy, H, Embedding::kShared, 0.1f);
  }
}

void test_optimisers() {
  for (int optimiser = 0; kernels().optimiser(optimiser) != nullptr; ++optimiser) {
    for (const int H : {5, 70}) {
      for (const auto embedding : {Embedding::kShared, Embedding::kOneHot}) {
        for (const float momentum : {0.0f, 0.3f}) {
          TrainingSettings settings;
          settings.loss = index_of(kernels().loss, "bpr-max");
          settings.grad_cap = H == 5 ? 0.1 : momentum > 0 ? 0.0 : 0.1;
          choose_optimiser(optimiser, {{"momentum", momentum}, {"lmbd", momentum}}, &settings);
          require_equal_results(H, default_cells(embedding), embedding, settings);
          require_equal_results(H, default_cells(embedding), embedding, settings, true);
        }
      }
    }
  }
}

void test_precisions() {
  for (const std::string& name : bf16_instruction_sets()) {
    use_bf16_instruction_set(name);
    for (const char* precision : {"high", "medium"}) {
      const Products products = products_of(precision);
      for (const auto embedding : {Embedding::kShared, Embedding::kOneHot}) {
        for (const int H : {5, 70}) {
          TrainingSettings settings;
          settings.loss = index_of(kernels().loss, "bpr-max");
          settings.products = products;
          choose_optimiser(index_of(kernels().optimiser, "adagrad"), {{"momentum", 0.1f}},
                           &settings);
          require_equal_results(H, default_cells(embedding), embedding, settings);
        }
      }
      std::printf("%s, precision %s: passed\n", name.c_str(), precision);
    }
  }
  use_bf16_instruction_set("");
}

constexpr int kRankedItems = 9001, kRankedUnits = 37;

void test_ranks_of(const ItemTable& w) {
  constexpr int kRows = 35, kUnits = kRankedUnits, kItems = kRankedItems;
  const Floats features = random_floats(kRows * kUnits), b = random_floats(kItems);
  std::vector<std::int64_t> targets;
  for (int i = 0; i < kRows; ++i) targets.push_back(below(kItems));
  for (const int threads : {1, 3}) {
    std::vector<std::int64_t> greater(kRows), equal(kRows), best(kRows * 10);
    Floats scores(kRows * 10);
    kernels().rank_counts(features.data(), kRows, kUnits, w, b.data(), kItems, targets.data(),
                          greater.data(), equal.data(), threads);
    kernels().top_k(features.data(), kRows, kUnits, w, b.data(), kItems, 10, scores.data(),
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
    // A few rows are scored in another way.
    for (int rows = 1; rows < 6; ++rows) {
      std::vector<std::int64_t> few_best(static_cast<std::size_t>(rows) * 10);
      Floats few(few_best.size());
      kernels().top_k(features.data(), rows, kUnits, w, b.data(), kItems, 10, few.data(),
                      few_best.data(), threads);
      REQUIRE(std::equal(few.begin(), few.end(), scores.begin()));
      REQUIRE(std::equal(few_best.begin(), few_best.end(), best.begin()));
    }
    Floats chosen(kRows * best.size());
    kernels().item_scores(features.data(), kRows, kUnits, w, b.data(), best.data(), kRows * 10,
                          chosen.data(), threads);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (std::size_t j = 0; j < 10; ++j) {
        REQUIRE(chosen[i * best.size() + i * 10 + j] == scores[i * 10 + j]);
      }
    }
  }
}

void test_ranks() {
  OwnedParameter w(kRankedItems, kRankedUnits);
  test_ranks_of({w.value.data(), nullptr});
  w.make_half();
  test_ranks_of({nullptr, w.half.data()});
}

// By bounds, the counts and the best items must be those of the kernels without them.
void test_bounds() {
  for (const int kRows : {1, 4, 35}) {
    for (const int kUnits : {5, 64, 300}) {
      constexpr int kItems = 5003;
      Floats w = random_floats(kItems * kUnits), features = random_floats(kRows * kUnits);
      const Floats b = random_floats(kItems);
      std::copy_n(w.begin(), kUnits, w.begin() + 9 * kUnits);  // equal rows
      for (int i = 0; i < kUnits; ++i) w[static_cast<std::size_t>(7 * kUnits + i)] *= 1e-42f;
      const auto n = static_cast<std::size_t>(kRows);
      std::vector<std::int64_t> targets;
      for (std::size_t i = 0; i < n; ++i) targets.push_back(below(kItems));
      std::vector<std::uint8_t> q(static_cast<std::size_t>(rounded_bytes(kItems, kUnits)));
      Floats scale(kItems);
      std::vector<std::uint32_t> norms(kItems);
      RoundedItems rounded{kItems, kUnits, q.data(), scale.data(), norms.data(), 0.0, 0.0};
      bound_kernels().round_items(w.data(), b.data(), rounded, 2);
      const BoundedCatalogue catalogue{&rounded, w.data(), b.data(), 1.0f};
      std::vector<std::int64_t> greater(n), equal(n), best(n * 10);
      Floats scores(n * 10);
      kernels().rank_counts(features.data(), kRows, kUnits, {w.data(), nullptr}, b.data(), kItems,
                            targets.data(), greater.data(), equal.data(), 1);
      kernels().top_k(features.data(), kRows, kUnits, {w.data(), nullptr}, b.data(), kItems, 10,
                      scores.data(), best.data(), 1);
      for (const int threads : {1, 3}) {
        std::vector<std::int64_t> above(n), same(n), found(n * 10);
        Floats found_scores(n * 10);
        ScanStatistics statistics;
        bound_kernels().rank_counts(catalogue, features.data(), kRows, targets.data(), above.data(),
                                    same.data(), statistics, threads);
        REQUIRE(above == greater && same == equal);
        REQUIRE(statistics.pairs == static_cast<std::int64_t>(kRows) * kItems);
        bound_kernels().top_k(catalogue, features.data(), kRows, 10, found_scores.data(),
                              found.data(), statistics, threads);
        REQUIRE(found == best && found_scores == scores);
      }
    }
  }
}

void test_updates() {
  const std::vector<std::int32_t> rows = {19, 0, 3, 7, 11, 5};
  for (int optimiser = 0; kernels().optimiser(optimiser) != nullptr; ++optimiser) {
    const OptimiserKind& kind = *kernels().optimiser(optimiser);
    for (const float momentum : {0.0f, 0.3f}) {
      TrainingSettings settings;
      choose_optimiser(optimiser, {{"momentum", momentum}}, &settings);
      const OptionValues& options = settings.optimiser_options;
      const int tables = kind.count_tables(options);
      for (const int columns : {1, 7, 33}) {
        OwnedParameter p(20, columns), q(20, columns), vector(1, columns);
        const Floats g = random_floats(6 * columns), all = random_floats(20 * columns);
        kernels().update_rows(optimiser, options, p.view(kind, tables), rows.data(), 6, g.data());
        kernels().update_rows(optimiser, options, q.view(kind, tables), nullptr, 20, all.data());
        kernels().update_rows(optimiser, options, vector.view(kind, tables), nullptr, 1, g.data());
        for (const OwnedParameter* updated : {&p, &q, &vector}) {
          for (const float value : updated->value) REQUIRE(std::isfinite(value));
        }
      }
    }
  }
}

}  // namespace
}  // namespace gru4rec_fast

int main() {
  for (const std::string& name : gru4rec_fast::instruction_sets()) {
    gru4rec_fast::use_instruction_set(name);
    gru4rec_fast::test_cells();
    gru4rec_fast::test_losses();
    gru4rec_fast::test_optimisers();
    gru4rec_fast::test_precisions();
    gru4rec_fast::test_ranks();
    for (const std::string& bounds : gru4rec_fast::bound_instruction_sets()) {
      gru4rec_fast::use_bound_instruction_set(bounds);
      gru4rec_fast::test_bounds();
      std::printf("%s, ranks by bounds: passed\n", bounds.c_str());
    }
    gru4rec_fast::test_updates();
    std::printf("%s: passed\n", name.c_str());
  }
}
