// The order of a step: the layers forward; scores and loss of the item rows; the gradients of the
// item rows, which the optimiser takes at once; the layers backward; last the input rows, whose
// gradient is complete only then.
#include "isa/training_step.h"

#include <vector>

#include "engine/sharing_choice.h"
#include "isa/gathered_tables.h"
#include "isa/input_rows.h"
#include "isa/item_rows.h"
#include "isa/layer.h"
#include "isa/optimisers/gradient_cap.h"
#include "isa/optimisers/optimisers.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

// The buffers of a step of up to `lanes` lanes and `rows` unique rows, and its parts.
class Workspace {
 public:
  Workspace(const Network& network, const TrainingSettings& settings, Optimiser& optimiser,
            Index lanes, Index rows);

  bool fits(const StepBlock& block) const { return block.lanes == lanes_ && block.width <= rows_; }
  void reserve_scratch(int threads);
  void load_states(const LayerState* states);
  void store_states(LayerState* states, Index live) const;
  void set_learning_rate(float rate) { optimiser_->set_learning_rate(rate); }
  float train(const PlannedStep& step, ThreadPool& pool);

 private:
  void collect_gradients(const Network& network, Optimiser& optimiser);

  TrainingSettings settings_;
  std::unique_ptr<GradientCap> cap_;  // null without a cap
  Optimiser* optimiser_;              // what takes the gradients
  Index lanes_, rows_;
  InputRows inputs_;
  ItemRows items_;
  std::vector<LayerStep> layers_;
  std::vector<Scratch> scratch_;  // by thread
};

Workspace::Workspace(const Network& network, const TrainingSettings& settings, Optimiser& optimiser,
                     Index lanes, Index rows)
    : settings_(settings),
      optimiser_(&optimiser),
      lanes_(lanes),
      rows_(rows),
      inputs_(network, lanes, rows),
      items_(network, settings, lanes, rows) {
  layers_.reserve(static_cast<std::size_t>(network.n_layers));
  for (int l = 0; l < network.n_layers; ++l) {
    Layer layer = network.layers[l];
    layer.products = settings.products;
    layers_.push_back(LayerStep(layer, lanes));
  }
  if (settings.grad_cap > 0) collect_gradients(network, optimiser);
}

void Workspace::collect_gradients(const Network& network, Optimiser& optimiser) {
  cap_.reset(new GradientCap(optimiser, settings_.grad_cap));
  optimiser_ = cap_.get();
  for (int l = 0; l < network.n_layers; ++l) {
    const Layer& layer = network.layers[l];
    if (!layer.one_hot) {
      cap_->add(layer.input_weight, RowOrigin::kWeights, layer.input_weight.rows);
    }
    for (const Parameter& weight : layer.weights) {
      if (weight.value != nullptr) cap_->add(weight, RowOrigin::kWeights, weight.rows);
    }
  }
  cap_->add(network.wy, RowOrigin::kWeights, rows_);
  cap_->add(network.by, RowOrigin::kWeights, rows_);
  cap_->add(network.input, RowOrigin::kInputs, lanes_);
}

void Workspace::reserve_scratch(int threads) {
  Index gradient = items_.gradient_scratch();
  for (const LayerStep& layer : layers_) gradient = at_least(gradient, layer.scratch());
  while (scratch_.size() < static_cast<std::size_t>(threads)) {
    scratch_.push_back({Buffer(gradient), Buffer(items_.strips_scratch())});
  }
}

void Workspace::load_states(const LayerState* states) {
  for (LayerStep& layer : layers_) layer.load_state(*states++);
}

void Workspace::store_states(LayerState* states, Index live) const {
  for (const LayerStep& layer : layers_) layer.store_state(*states++, live);
}

float Workspace::train(const PlannedStep& step, ThreadPool& pool) {
  LayerStep &first = layers_.front(), &last = layers_.back();
  inputs_.read(step, settings_.seed, first.buffers());
  LayerStep* below = nullptr;
  for (LayerStep& layer : layers_) {
    if (below != nullptr) {
      CellBuffers& b = layer.buffers();
      copy(b.x.data(), below->output(), step.live * b.input_stride);
    }
    layer.forward(step, settings_.seed, pool);
    below = &layer;
  }
  const float loss = items_.forward(step, last.buffers(), pool);

  const BackwardContext context{*optimiser_, pool, scratch_.data()};
  items_.backward(step, last.buffers(), inputs_, context);
  for (std::size_t l = layers_.size(); l-- > 0;) {
    layers_[l].backward(step, context);
    if (l > 0) layers_[l - 1].buffers().d_after_t.swap(layers_[l].buffers().d_x_t);
  }
  inputs_.update(step, first.one_hot_input(), first.buffers(), *optimiser_);
  optimiser_->finish_step(pool);
  return loss;
}

class Step final : public TrainingStep {
 public:
  Step(const Network& network, const TrainingSettings& settings)
      : network_(network),
        settings_(settings),
        optimiser_(kOptimisers[settings.optimiser]->make(settings.optimiser_options)) {}

  void train_block(const StepBlock& block, LayerState* states, float* losses, int threads) override;

 private:
  void make_workspace(const StepBlock& block, int threads);

  Network network_;
  TrainingSettings settings_;
  std::unique_ptr<Optimiser> optimiser_;
  std::unique_ptr<GatheredTables> tables_;  // of bfloat16, else null
  std::unique_ptr<Workspace> workspace_;
  SharingChoice choice_;
};

void Step::make_workspace(const StepBlock& block, int threads) {
  // Some rows to spare, as the number of unique rows differs from block to block.
  const Index rows = block.width + block.width / 8;
  workspace_.reset();
  tables_.reset();
  if (network_.wy.half == nullptr) {
    workspace_.reset(new Workspace(network_, settings_, *optimiser_, block.lanes, rows));
    return;
  }
  tables_.reset(new GatheredTables(network_, settings_, block.lanes, rows, threads));
  workspace_.reset(
      new Workspace(tables_->network(), tables_->settings(), *optimiser_, block.lanes, rows));
}

void Step::train_block(const StepBlock& block, LayerState* states, float* losses, int threads) {
  if (block.steps == 0) return;
  if (workspace_ == nullptr || !workspace_->fits(block) ||
      (tables_ != nullptr && tables_->threads() < threads)) {
    make_workspace(block, threads);
  }
  workspace_->reserve_scratch(threads);
  workspace_->load_states(states);
  ThreadPool pool(threads);
  if (choice_.shared() && worth_sharing(network_, block.width, block.lanes)) pool.start();
  for (Index t = 0; t < block.steps; ++t) {
    if (block.learning_rate != nullptr) {
      workspace_->set_learning_rate(static_cast<float>(block.learning_rate[t]));
    }
    pool.allow_sharing(choice_.shared());
    choice_.begin_step();
    const PlannedStep step = block.at(t);
    if (tables_ == nullptr) {
      losses[t] = workspace_->train(step, pool);
    } else {
      losses[t] = workspace_->train(tables_->gather(step, pool), pool);
      tables_->scatter(step, pool);
    }
    if (threads > 1) choice_.end_step();
  }
  workspace_->store_states(states, block.live[block.steps - 1]);
}

}  // namespace

TrainingStep* make_training_step(const Network& network, const TrainingSettings& settings) {
  return new Step(network, settings);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
