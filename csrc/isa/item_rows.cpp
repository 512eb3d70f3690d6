#include "isa/item_rows.h"

#include "isa/losses/losses.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

// The gradient of the last state is summed over this many shares of the item rows, for any number
// of threads, and the shares are added in order.
constexpr Index kShares = 8;

// A tile of a small state stays in the L1 cache, and its rows are read in place. For a large state
// a larger tile reads and writes the state's gradient less often, and the rows are packed, because
// their columns would fall into few cache sets.
constexpr Index kLargeState = 16384;  // floats
constexpr Index kSmallTile = 48, kSmallGroup = 12;
constexpr Index kLargeTile = 96, kLargeGroup = 48;

// Rows are split into bfloat16 parts by large tiles, whose sizes are multiples of 16.
bool is_large(const Network& network, const TrainingSettings& settings, Index lanes) {
  return network.wy.columns * lanes > kLargeState || settings.products.kernels != nullptr;
}

// Pointers to the rows of a tile in the table.
struct RowPointers {
  RowPointers(const Parameter& table, const RowList& list) {
    for (Index i = 0; i < list.size(); ++i) row[i] = table.value + list[i] * table.columns;
  }

  const float* row[kLargeTile];
};

}  // namespace

ItemRows::ItemRows(const Network& network, const TrainingSettings& settings, Index max_lanes,
                   Index max_rows)
    : network_(network),
      products_(settings.products),
      tile_rows_(is_large(network, settings, max_lanes) ? kLargeTile : kSmallTile),
      group_(is_large(network, settings, max_lanes) ? kLargeGroup : kSmallGroup),
      packed_(is_large(network, settings, max_lanes) && products_.kernels == nullptr),
      row_stride_(row_stride(network.wy.columns)),
      loss_(kLosses[settings.loss]->make(
          {network.wy, network.by, settings.loss_options, settings.support, settings.batch_size,
           max_lanes, max_rows, tile_rows_},
          make_activation(settings.activation))),
      shares_(kShares * network.wy.columns * row_stride(max_lanes)),
      h_t_(products_, network.wy.columns, max_lanes),
      h_(products_, max_lanes, network.wy.columns) {}

Index ItemRows::strips_scratch() const {
  if (products_.kernels != nullptr) return factor_scratch(products_, tile_rows_, loss_->stride());
  return packed_ ? tile_rows_ * round_up(row_stride_, kTileRows) : 0;
}

// The rows first .. end - 1, clipped to the scored rows.
RowList ItemRows::scored(Index first, Index end) const {
  return {step_.rows, at_most(first, step_.scored), at_most(end, step_.scored)};
}

void ItemRows::score_tile(Index tile) {
  const Index H = network_.wy.columns;
  const Index first = loss_->first_row(tile), end = loss_->end_row(tile);
  const RowPointers rows(network_.wy, scored(first, end));
  const MatrixRows next = value_rows(network_.wy, scored(end, end + tile_rows_));
  prefetch_pages(next);
  RowPrefetch prefetch(next, product_length(end - first, step_.live, H));
  multiply(end - first, step_.live, H, PickedRows{rows.row}, h_t_, loss_->scores(first),
           loss_->stride(), false, prefetch);
  loss_->forward_tile(tile);
}

float ItemRows::forward(const PlannedStep& step, CellBuffers& last, ThreadPool& pool) {
  step_ = step;
  const Index H = network_.wy.columns;
  h_t_.take(last.state[0].after_t.data(), last.lane_stride, H, step.live, pool);
  h_.take(last.state[0].after.data(), last.unit_stride, step.live, H, pool);
  loss_->begin(step, last.state[0].after.data(), last.unit_stride);
  pool.run(loss_->tiles(), worth_sharing(network_, step.scored, step.live),
           [&](Index tile, int) { score_tile(tile); });
  return loss_->finish();
}

// Adds the tile's part to its share of the gradient of the last state.
void ItemRows::add_state_gradient(const Tile& tile, CellBuffers& last, Scratch& scratch) {
  const Index H = network_.wy.columns;
  const Index first = loss_->first_row(tile.number), end = loss_->end_row(tile.number);
  const Index n = end - first, lane_stride = last.lane_stride;
  const MatrixRows next = value_rows(network_.wy, scored(end, end + tile_rows_));
  prefetch_pages(next);
  // update_group() prefetches the state of the group after its own.
  prefetch_pages(state_rows(network_.wy, scored(first + group_, end + group_)));
  prefetch_pages(state_rows(network_.by, scored(end, end + tile_rows_)));
  RowPrefetch prefetch(next, product_length(H, step_.live, n, packed_));
  float* const share = shares_.data() + tile.share * H * lane_stride;
  if (products_.kernels != nullptr) {
    RightFactor d(products_, scratch.strips.data());
    d.take(loss_->d_scores(first), loss_->stride(), n, step_.live);
    const RowPointers rows(network_.wy, scored(first, end));
    return multiply(H, step_.live, n, PickedColumns{rows.row}, d, share, lane_stride,
                    !tile.first_of_share, prefetch);
  }
  const auto add = [&](const auto& transposed_rows) {
    product(H, step_.live, n, transposed_rows, loss_->d_scores(first), loss_->stride(), share,
            lane_stride, !tile.first_of_share, prefetch);
  };
  const RowPointers rows(network_.wy, scored(first, end));
  if (!packed_) return add(PickedColumns{rows.row});
  float* strips = scratch.strips.data();
  for (Index k = 0; k < n; ++k) pack_column(rows.row[k], H, n, k, strips);
  add(PackedColumns{strips, n});
}

void ItemRows::update_group(Index first, Index n, InputRows& inputs, const BackwardContext& context,
                            Scratch& scratch) {
  const Index H = network_.wy.columns, next = first + n;
  float* g = scratch.gradient.data();
  RowPrefetch prefetch(state_rows(network_.wy, scored(next, next + n)),
                       product_length(n, H, step_.live));
  multiply(n, H, step_.live, Rows{loss_->d_scores(first), loss_->stride()}, h_, g, row_stride_,
           false, prefetch);
  // The rows between two deferred ones are updated together.
  Index begin = 0;
  const auto update_until = [&](Index end) {
    if (begin == end) return;
    context.optimiser.update(network_.wy, {step_.rows, first + begin, first + end},
                             g + begin * row_stride_, row_stride_, RowOrigin::kWeights);
  };
  for (Index i = 0; i < n; ++i) {
    float* deferred = inputs.deferred(first + i);
    if (deferred == nullptr) continue;
    update_until(i);
    copy(deferred, g + i * row_stride_, H);
    begin = i + 1;
  }
  update_until(n);
}

void ItemRows::backward(const PlannedStep& step, CellBuffers& last, InputRows& inputs,
                        const BackwardContext& context) {
  const bool share_work = worth_sharing(network_, step.scored, step.live);
  const Index tiles = loss_->tiles(), shares = at_most(tiles, kShares);
  context.pool.run(shares, share_work, [&](Index share, int thread) {
    Scratch& scratch = context.scratch[thread];
    const Index begin = share * tiles / shares, end = (share + 1) * tiles / shares;
    for (Index tile = begin; tile < end; ++tile) {
      const Index first = loss_->first_row(tile), last_row = loss_->end_row(tile);
      loss_->backward_tile(tile);
      add_state_gradient({tile, share, tile == begin, thread}, last, scratch);
      for (Index u = first; u < last_row; u += group_) {
        update_group(u, at_most(last_row - u, group_), inputs, context, scratch);
      }
      context.optimiser.update(network_.by, scored(first, last_row), loss_->d_bias(first), 1,
                               RowOrigin::kWeights);
    }
  });
  sum_shares(shares, last, context.pool, share_work);
}

void ItemRows::sum_shares(Index shares, CellBuffers& last, ThreadPool& pool, bool share_work) {
  const Index H = network_.wy.columns, size = H * last.lane_stride;
  pool.run(unit_blocks(H), share_work, [&](Index block, int) {
    const Index begin = block * kUnitBlock * last.lane_stride;
    const Index end = at_most(begin + kUnitBlock * last.lane_stride, size);
    for (Index k = begin; k < end; k += kWidth) {
      Vec total = load(shares_.data() + k);
      for (Index share = 1; share < shares; ++share) {
        total += load(shares_.data() + share * size + k);
      }
      store(last.d_after_t.data() + k, total);
    }
  });
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
