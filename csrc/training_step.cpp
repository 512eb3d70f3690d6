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

// How item rows are taken: `tile` rows are scored, and later packed, at a time; `group` rows'
// gradients are formed, then used. A small state keeps its tile in the first cache and reads the
// rows in place; a large one amortises reading and writing the gradient of the last state once a
// tile, and packs the rows, whose columns would meet in few sets of the cache.
struct TileSizes {
  Index tile, group;
  bool packed;
};

constexpr Index kLargestTile = 96, kLargeState = 16384;

TileSizes tile_sizes(const Network& network, Index lanes) {
  if (network.wy.columns * lanes <= kLargeState) return {48, 12, false};
  return {kLargestTile, 48, true};
}

bool worth_sharing(const Network& network, Index rows, Index lanes) {
  return rows * network.wy.columns * lanes > kWorthSharing;
}

// Where the rows of a tile lie in the table.
struct ItemRows {
  ItemRows(const Parameter& table, const std::int32_t* rows, Index first, Index end) {
    for (Index u = first; u < end; ++u) row[u - first] = table.value + rows[u] * table.columns;
  }

  const float* row[kLargestTile];
};

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
  RowRange values(const Parameter& table, Index first, Index end) const;
  RowRange state(const Parameter& table, Index first, Index end) const;
  void score_tile(Index tile);
  void score_items();
  void add_to_share(Index tile, Index share, bool first_of_share, int thread);
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
  TileSizes sizes_;
  SampledLoss loss_;
  Index row_stride_, input_stride_;  // of item rows (H) and input rows (K)
  Buffer shares_;                    // (kShares x H x B) gradient of the last state
  Buffer input_mask_, d_input_;      // (B x K)
  Buffer waiting_;                   // (B x K) gradients of the rows that are inputs
  std::vector<Place> place_;         // (U) where in waiting_ the row's gradient is, or -1
  std::vector<Place> input_rows_;    // the row of each gradient in waiting_
  std::vector<Scratch> scratch_;     // by thread
};

Step::Step(const Network& network, const Settings& settings, const BlockPlan& block, Team& team)
    : network_(network),
      settings_(settings),
      team_(team),
      rates_{settings.learning_rate, settings.momentum},
      sizes_(tile_sizes(network, block.lanes)),
      loss_(settings, block.lanes, block.width, sizes_.tile),
      row_stride_(row_stride(network.wy.columns)),
      input_stride_(row_stride(network.input.columns)),
      shares_(kShares * network.wy.columns * row_stride(block.lanes)),
      input_mask_(block.lanes * input_stride_),
      d_input_(block.lanes * input_stride_),
      waiting_(block.lanes * input_stride_),
      place_(static_cast<std::size_t>(block.width)) {
  Index most = sizes_.group * row_stride_;
  for (int i = 0; i < network.n_cells; ++i) {
    cells_.emplace_back(network.cells[i], block.lanes);
    most = at_least(most, cells_.back().scratch_size());
  }
  const Index packed = sizes_.packed ? sizes_.tile * round_up(row_stride_, kTileRows) : 0;
  for (int i = 0; i < team.threads(); ++i) scratch_.push_back({Buffer(most), Buffer(packed)});
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
  share_work_ = worth_sharing(network_, plan.scored, plan.live);
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

// The scored rows first .. end - 1 of a table, as far as there are any.
RowRange Step::values(const Parameter& table, Index first, Index end) const {
  return {table.value,
          table.columns,
          table.columns,
          plan_.rows,
          at_most(first, plan_.scored),
          at_most(end, plan_.scored)};
}

RowRange Step::state(const Parameter& table, Index first, Index end) const {
  return state_rows(table, plan_.rows, at_most(first, plan_.scored), at_most(end, plan_.scored));
}

void Step::score_tile(Index tile) {
  const Index H = network_.wy.columns, first = loss_.first_row(tile), end = loss_.end_row(tile);
  const ItemRows rows(network_.wy, plan_.rows, first, end);
  const RowRange next = values(network_.wy, end, end + sizes_.tile);
  find_pages(next);
  RowsAhead ahead(next, product_length(end - first, plan_.live, H));
  product(end - first, plan_.live, H, PickedRows{rows.row}, last().out_t.data(), last().lane_stride,
          loss_.scores(first), loss_.stride(), false, ahead);
  loss_.forward_tile(tile);
}

void Step::score_items() {
  loss_.begin(plan_, network_, last().out.data(), last().unit_stride);
  team_.run(loss_.tiles(), share_work_, [&](Index tile, int) { score_tile(tile); });
}

// ---- Backward -------------------------------------------------------------------------------

void Step::learn_rows(Index first, Index n, int thread) {
  const Index H = network_.wy.columns, next = first + n;
  float* g = scratch(thread);
  RowsAhead ahead(state(network_.wy, next, next + n), product_length(n, H, plan_.live));
  product(n, H, plan_.live, Rows{loss_.d_scores(first), loss_.stride()}, last().out.data(),
          last().unit_stride, g, row_stride_, false, ahead);
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
  float value[kLargestTile], accumulator[kLargestTile], momentum[kLargestTile];
  for (Index u = first; u < end; ++u) {
    value[u - first] = *loss_.bias(u);
    accumulator[u - first] = by.accumulator[plan_.rows[u] * by.state_stride];
    if (by.momentum != nullptr) momentum[u - first] = by.momentum[plan_.rows[u] * by.state_stride];
  }
  adagrad_row(rates_, end - first, value, accumulator, by.momentum != nullptr ? momentum : nullptr,
              loss_.d_bias(first));
  for (Index u = first; u < end; ++u) {
    by.value[plan_.rows[u]] = value[u - first];
    by.accumulator[plan_.rows[u] * by.state_stride] = accumulator[u - first];
    if (by.momentum != nullptr) by.momentum[plan_.rows[u] * by.state_stride] = momentum[u - first];
  }
}

// Adds the tile's part to the gradient of the last state.
void Step::add_to_share(Index tile, Index share, bool first_of_share, int thread) {
  const Index H = network_.wy.columns, first = loss_.first_row(tile), end = loss_.end_row(tile);
  const Index n = end - first, lane_stride = last().lane_stride;
  const RowRange next = values(network_.wy, end, end + sizes_.tile);
  find_pages(next);
  // learn_rows() asks for the state of the group after its own.
  find_pages(state(network_.wy, first + sizes_.group, end + sizes_.group));
  find_pages(state(network_.by, end, end + sizes_.tile));
  RowsAhead ahead(next, product_length(H, plan_.live, n));
  const auto add = [&](const auto& transposed_rows) {
    product(H, plan_.live, n, transposed_rows, loss_.d_scores(first), loss_.stride(),
            shares_.data() + share * H * lane_stride, lane_stride, !first_of_share, ahead);
  };
  const ItemRows rows(network_.wy, plan_.rows, first, end);
  if (!sizes_.packed) return add(PickedColumns{rows.row});
  float* strips = scratch_[static_cast<std::size_t>(thread)].strips.data();
  for (Index k = 0; k < n; ++k) pack_column(rows.row[k], H, n, k, strips);
  add(PackedColumns{strips, n});
}

void Step::learn_tile(Index tile, Index share, bool first_of_share, int thread) {
  const Index first = loss_.first_row(tile), end = loss_.end_row(tile);
  loss_.backward_tile(tile);
  add_to_share(tile, share, first_of_share, thread);
  for (Index u = first; u < end; u += sizes_.group) {
    learn_rows(u, at_most(end - u, sizes_.group), thread);
  }
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
  const auto n = static_cast<Index>(input_rows_.size());
  for (Index i = 0; i < plan_.live; ++i) {
    if (i < n) {
      prefetch_row(network_.input, plan_.rows[input_rows_[static_cast<std::size_t>(i)].index]);
    }
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
  if (worth_sharing(network, plan.width, plan.lanes)) team.assemble();
  Step step(network, settings, plan, team);
  step.load_states(states);
  for (Index t = 0; t < plan.steps; ++t) losses[t] = step.train(plan.at(t));
  step.store_states(states);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
