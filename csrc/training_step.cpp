// The order of a step: cells forward; scores and loss by tiles of item rows; by the same tiles the
// gradient of the last state, and of the item rows, which Adagrad uses at once; cells backward;
// last the rows that were inputs, whose gradient is complete only then.
#include "training_step.h"

#include <vector>

#include "dropout_lanes.h"
#include "gru_step.h"
#include "rows_ahead.h"
#include "sampled_loss.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

TrainBlock train_block;

namespace {

// The gradient of the last state is summed over this many shares of the item rows, whatever the
// number of threads, and the shares are added in order.
constexpr Index kShares = 8;

// Item rows of a tile: small states keep a tile in the first cache, large ones amortise reading
// and writing the gradient of the last state once a tile.
constexpr Index kSmallTile = 48, kLargeTile = 96, kLargeState = 16384;

// Item rows that are gathered, or whose gradient is formed, at a time. Meanwhile the next ones but
// one come from memory: few at a time for small states, so that the requests are spread evenly.
constexpr Index kSmallGroup = 12, kLargeGroup = 48;

struct Place {
  std::int32_t index;
};

class Step {
 public:
  Step(const Network& network, const Settings& settings, const BlockPlan& block, Team& team);
  void load_states(const LayerState* states);
  float train(const StepPlan& plan);
  void store_states(LayerState* states);

 private:
  bool one_hot() const { return cells_.front().cell.reset_before; }
  CellStep& last() { return cells_.back(); }
  float* scratch(int thread) { return scratch_[static_cast<std::size_t>(thread)].floats.data(); }

  void find_inputs();
  void read_inputs();
  void carry(CellStep& cell);
  void drop(CellStep& cell, int site, double p);
  void forward_cells();
  RowsAhead ahead(const float* part, Index first, Index n, Index calls) const;
  const float* gather_tile(Index tile, int thread);
  void score_tile(Index tile, int thread);
  void score_items();
  void learn_tile(Index tile, Index share, bool first_of_share, int thread);
  void learn_rows(Index first, Index n, int thread);
  void learn_biases(Index first, Index end);
  void learn_items();
  void backward_cells();
  void learn_inputs();

  Network network_;
  Settings settings_;
  Team& team_;
  Rates rates_;
  StepPlan plan_{};
  bool share_work_ = false;
  std::vector<CellStep> cells_;
  SampledLoss loss_;
  Index group_;
  Index row_stride_, input_stride_;  // of item rows (H) and input rows (K)
  Buffer shares_;                    // (kShares x H x B) gradient of the last state
  Buffer input_mask_, d_input_;      // (B x K)
  Buffer waiting_;                   // (B x K) gradients of the rows that are inputs
  std::vector<Place> place_;         // (U) where in waiting_ the row's gradient is, or -1
  std::vector<Place> input_rows_;    // the row of each gradient in waiting_
  std::vector<Scratch> scratch_;     // by thread
};

bool large(const Network& network, Index lanes) {
  return network.wy.columns * lanes > kLargeState;
}

Step::Step(const Network& network, const Settings& settings, const BlockPlan& block, Team& team)
    : network_(network),
      settings_(settings),
      team_(team),
      rates_{settings.learning_rate, settings.momentum},
      loss_(settings, block.lanes, block.width,
            large(network, block.lanes) ? kLargeTile : kSmallTile),
      group_(large(network, block.lanes) ? kLargeGroup : kSmallGroup),
      row_stride_(row_stride(network.wy.columns)),
      input_stride_(row_stride(network.input.columns)),
      shares_(kShares * network.wy.columns * row_stride(block.lanes)),
      input_mask_(block.lanes * input_stride_),
      d_input_(block.lanes * input_stride_),
      waiting_(block.lanes * input_stride_),
      place_(static_cast<std::size_t>(block.width)) {
  const Index tile = large(network, block.lanes) ? kLargeTile : kSmallTile;
  Index most = group_ * row_stride_;
  for (int i = 0; i < network.n_cells; ++i) {
    cells_.emplace_back(network.cells[i], block.lanes);
    most = at_least(most, cells_.back().scratch_size());
  }
  for (int i = 0; i < team.threads(); ++i)
    scratch_.push_back({Buffer(most), Buffer(tile * row_stride_)});
}

void Step::load_states(const LayerState* states) {
  for (CellStep& cell : cells_) {
    for (Index i = 0; i < states->rows; ++i) {
      copy(cell.out.data() + i * cell.unit_stride, states->value + i * cell.cell.units,
           cell.cell.units);
    }
    ++states;
  }
}

void Step::store_states(LayerState* states) {
  for (CellStep& cell : cells_) {
    states->rows = plan_.live;
    for (Index i = 0; i < states->rows; ++i) {
      copy(states->value + i * cell.cell.units, cell.out.data() + i * cell.unit_stride,
           cell.cell.units);
    }
    ++states;
  }
}

float Step::train(const StepPlan& plan) {
  plan_ = plan;
  share_work_ = plan.scored * network_.wy.columns * plan.live > kWorthSharing;
  find_inputs();
  read_inputs();
  forward_cells();
  score_items();
  const float loss = loss_.finish();
  learn_items();
  backward_cells();
  learn_inputs();
  return loss;
}

// ---- Forward --------------------------------------------------------------------------------

void Step::find_inputs() {
  for (Place& place : place_) place.index = -1;
  input_rows_.clear();
  for (Index i = 0; i < plan_.live; ++i) {
    Place& place = place_[static_cast<std::size_t>(plan_.input_row[i])];
    if (place.index >= 0) continue;
    place.index = static_cast<std::int32_t>(input_rows_.size());
    input_rows_.push_back({plan_.input_row[i]});
  }
  const auto n = static_cast<Index>(input_rows_.size());
  for (Index k = 0; k < n * input_stride_; ++k) waiting_.data()[k] = 0;
}

void Step::read_inputs() {
  CellStep& first = cells_.front();
  const Index K = network_.input.columns;
  for (Index i = 0; i < plan_.live; ++i) {
    const Index row = plan_.rows[plan_.input_row[i]];
    copy(first.x.data() + i * input_stride_, network_.input.value + row * K, K);
  }
  if (one_hot() || settings_.dropout_embed <= 0) return;
  fill_dropout(settings_.seed, plan_.step, 0, plan_.live, K, settings_.dropout_embed,
               input_mask_.data(), input_stride_);
  for (Index k = 0; k < plan_.live * input_stride_; k += kWidth) {
    float* x = first.x.data() + k;
    store(x, load(x) * load(input_mask_.data() + k));
  }
}

// Lane i goes on from row source[i] of the step before, or from zero.
void Step::carry(CellStep& cell) {
  for (Index i = 0; i < plan_.live; ++i) {
    float* h = cell.h.data() + i * cell.unit_stride;
    if (plan_.restarts[i] != 0) {
      std::memset(h, 0, static_cast<std::size_t>(cell.unit_stride) * sizeof(float));
    } else {
      copy(h, cell.out.data() + plan_.source[i] * cell.unit_stride, cell.unit_stride);
    }
  }
}

// The mask of the cell's output; `out` serves to turn it round, as the old state is carried
// already.
void Step::drop(CellStep& cell, int site, double p) {
  cell.dropped = p > 0;
  if (!cell.dropped) return;
  fill_dropout(settings_.seed, plan_.step, site, plan_.live, cell.cell.units, p, cell.out.data(),
               cell.unit_stride);
  transpose(plan_.live, cell.cell.units, cell.out.data(), cell.unit_stride, cell.mask_t.data(),
            cell.lane_stride);
}

void Step::forward_cells() {
  for (std::size_t l = 0; l < cells_.size(); ++l) {
    CellStep& cell = cells_[l];
    carry(cell);
    if (l == 0 && one_hot()) {
      drop(cell, 0, settings_.dropout_embed);
    } else {
      drop(cell, static_cast<int>(l) + 1, settings_.dropout_hidden);
    }
    if (l > 0) copy(cell.x.data(), cells_[l - 1].out.data(), plan_.live * cell.input_stride);
    cell.forward(plan_.live, team_);
  }
}

// The next n scored rows from row `first` of a part of Wy, or of its Adagrad state.
RowsAhead Step::ahead(const float* part, Index first, Index n, Index calls) const {
  const Index begin = at_most(first, plan_.scored), end = at_most(first + n, plan_.scored);
  return {part, network_.wy.columns, plan_.rows, begin, end, calls};
}

// The tile's rows of Wy, in a buffer of the thread. They are read anew for the backward pass, which
// wants them in the cache for the update anyway: a copy of all would have to leave it and return.
const float* Step::gather_tile(Index tile, int thread) {
  const Index H = network_.wy.columns, first = loss_.first_row(tile), end = loss_.end_row(tile);
  float* rows = scratch_[static_cast<std::size_t>(thread)].rows.data();
  for (Index u = first; u < end; ++u, rows += row_stride_) {
    copy(rows, network_.wy.value + plan_.rows[u] * H, H);
  }
  return scratch_[static_cast<std::size_t>(thread)].rows.data();
}

void Step::score_tile(Index tile, int thread) {
  const Index H = network_.wy.columns, first = loss_.first_row(tile), end = loss_.end_row(tile);
  const float* rows = gather_tile(tile, thread);
  RowsAhead next =
      ahead(network_.wy.value, end, end - first, product_tiles(end - first, plan_.live, H));
  product<false>(end - first, plan_.live, H, rows, row_stride_, last().out_t.data(),
                 last().lane_stride, loss_.scores(first), loss_.stride(), false, next);
  loss_.forward_tile(tile);
}

void Step::score_items() {
  loss_.begin(plan_, network_, last().out.data(), last().unit_stride);
  team_.run(loss_.tiles(), share_work_, [&](Index tile, int thread) { score_tile(tile, thread); });
}

// ---- Backward -------------------------------------------------------------------------------

void Step::learn_rows(Index first, Index n, int thread) {
  const Index H = network_.wy.columns;
  float* g = scratch(thread);
  const Index calls = product_tiles(n, H, plan_.live);
  RowsAheadOfTwo next{ahead(network_.wy.momentum, first + n, n, calls),
                      ahead(network_.wy.value, first + loss_.tile_rows(), n, calls)};
  product<false>(n, H, plan_.live, loss_.d_scores(first), loss_.stride(), last().out.data(),
                 last().unit_stride, g, row_stride_, false, next);
  for (Index i = 0; i < n; ++i) {
    const std::int32_t place = place_[static_cast<std::size_t>(first + i)].index;
    if (network_.shared && place >= 0) {
      copy(waiting_.data() + place * input_stride_, g + i * row_stride_, H);
    } else {
      adagrad_row(rates_, network_.wy, plan_.rows[first + i], g + i * row_stride_);
    }
  }
}

// The biases (V x 1) are collected, updated by vectors and put back.
void Step::learn_biases(Index first, Index end) {
  const Parameter& by = network_.by;
  float value[kLargeTile], accumulator[kLargeTile], momentum[kLargeTile];
  for (Index u = first; u < end; ++u) {
    value[u - first] = by.value[plan_.rows[u]];
    accumulator[u - first] = by.accumulator[plan_.rows[u]];
    if (by.momentum != nullptr) momentum[u - first] = by.momentum[plan_.rows[u]];
  }
  adagrad_row(rates_, end - first, value, accumulator, by.momentum != nullptr ? momentum : nullptr,
              loss_.d_bias(first));
  for (Index u = first; u < end; ++u) {
    by.value[plan_.rows[u]] = value[u - first];
    by.accumulator[plan_.rows[u]] = accumulator[u - first];
    if (by.momentum != nullptr) by.momentum[plan_.rows[u]] = momentum[u - first];
  }
}

void Step::learn_tile(Index tile, Index share, bool first_of_share, int thread) {
  const Index H = network_.wy.columns, first = loss_.first_row(tile), end = loss_.end_row(tile);
  const Index lane_stride = last().lane_stride;
  const float* rows = gather_tile(tile, thread);
  loss_.backward_tile(tile);
  RowsAhead next =
      ahead(network_.wy.accumulator, first, end - first, product_tiles(H, plan_.live, end - first));
  product<true>(H, plan_.live, end - first, rows, row_stride_, loss_.d_scores(first),
                loss_.stride(), shares_.data() + share * H * lane_stride, lane_stride,
                !first_of_share, next);
  for (Index u = first; u < end; u += group_) learn_rows(u, at_most(end - u, group_), thread);
  learn_biases(first, end);
}

void Step::learn_items() {
  const Index tiles = loss_.tiles(), n_shares = at_most(tiles, kShares);
  team_.run(n_shares, share_work_, [&](Index share, int thread) {
    const Index begin = share * tiles / n_shares, end = (share + 1) * tiles / n_shares;
    for (Index tile = begin; tile < end; ++tile) learn_tile(tile, share, tile == begin, thread);
  });

  const Index H = network_.wy.columns, size = H * last().lane_stride;
  team_.run(unit_blocks(H), share_work_, [&](Index block, int) {
    const Index begin = block * kUnitBlock * last().lane_stride;
    const Index end = at_most(begin + kUnitBlock * last().lane_stride, size);
    for (Index k = begin; k < end; k += kWidth) {
      Vec total = load(shares_.data() + k);
      for (Index share = 1; share < n_shares; ++share) {
        total += load(shares_.data() + share * size + k);
      }
      store(last().d_out_t.data() + k, total);
    }
  });
}

void Step::backward_cells() {
  for (std::size_t l = cells_.size(); l-- > 0;) {
    CellStep& cell = cells_[l];
    cell.backward(plan_.live, rates_, scratch_.data(), team_);
    if (l > 0) cells_[l - 1].d_out_t.swap(cell.d_x_t);
  }
}

void Step::learn_inputs() {
  CellStep& first = cells_.front();
  const Index K = network_.input.columns;
  float* d = first.d_x.data();
  if (!one_hot()) {
    d = d_input_.data();
    transpose(K, plan_.live, first.d_x_t.data(), first.lane_stride, d, input_stride_);
    if (settings_.dropout_embed > 0) {
      for (Index k = 0; k < plan_.live * input_stride_; k += kWidth) {
        store(d + k, load(d + k) * load(input_mask_.data() + k));
      }
    }
  }
  for (Index i = 0; i < plan_.live; ++i) {
    const std::int32_t place = place_[static_cast<std::size_t>(plan_.input_row[i])].index;
    float* g = waiting_.data() + place * input_stride_;
    for (Index k = 0; k < input_stride_; k += kWidth) {
      store(g + k, load(g + k) + load(d + i * input_stride_ + k));
    }
  }
  for (std::size_t i = 0; i < input_rows_.size(); ++i) {
    adagrad_row(rates_, network_.input, plan_.rows[input_rows_[i].index],
                waiting_.data() + static_cast<Index>(i) * input_stride_);
  }
}

}  // namespace

void train_block(const Network& network, const Settings& settings, const BlockPlan& plan,
                 LayerState* states, float* losses, int threads) {
  if (plan.steps == 0) return;
  Team team(threads);
  Step step(network, settings, plan, team);
  step.load_states(states);
  for (Index t = 0; t < plan.steps; ++t) losses[t] = step.train(plan.at(t));
  step.store_states(states);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
