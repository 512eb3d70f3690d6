#include "isa/gathered_tables.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {
namespace {

constexpr Index kPart = 64;    // rows that a thread takes at a time
constexpr Index kAhead = 8;    // rows that are prefetched ahead
constexpr Index kShared = 64;  // parts that are worth sharing among threads

}  // namespace

GatheredTables::Table::Table(const Parameter& parameter, Index rows)
    : all(parameter), copied(parameter), value(rows * parameter.columns) {
  copied.half = nullptr;
  copied.value = value.data();
  copied.rows = rows;
  for (int k = 0; k < kMaxStateTables; ++k) {
    StateTable& table = copied.state[k];
    if (table.first == nullptr) continue;
    state[k] = Buffer(rows * table.columns);
    table = {state[k].data(), table.columns, table.columns};
  }
}

void GatheredTables::Table::gather(const std::int32_t* items, const RowList& places) {
  const Index K = all.columns;
  for (Index i = 0; i < places.size(); ++i) {
    if (i + kAhead < places.size()) {
      const Index next = items[places[i + kAhead]];
      if (all.half != nullptr) {
        for (Index k = 0; k < K; k += 32) __builtin_prefetch(all.half + next * K + k);
      } else {
        prefetch_floats(all.value + next * K, K);
      }
      for (const StateTable& table : all.state) {
        if (table.first == nullptr) continue;
        prefetch_floats(table.first + next * table.stride, table.columns);
      }
    }
    const Index place = places[i], item = items[place];
    read_row(all, item, value.data() + place * K);
    for (int k = 0; k < kMaxStateTables; ++k) {
      const StateTable& table = all.state[k];
      if (table.first == nullptr) continue;
      copy(state[k].data() + place * table.columns, table.first + item * table.stride,
           table.columns);
    }
  }
}

void GatheredTables::Table::scatter(const std::int32_t* items, const RowList& places,
                                    const RowRounding& rounding, float* scratch) {
  const Index K = all.columns;
  if (all.half != nullptr) rounding.round(all, items, items, places, value.data(), scratch);
  for (Index i = 0; i < places.size(); ++i) {
    const Index place = places[i], item = items[place];
    if (all.half == nullptr) copy(all.value + item * K, value.data() + place * K, K);
    for (int k = 0; k < kMaxStateTables; ++k) {
      const StateTable& table = all.state[k];
      if (table.first == nullptr) continue;
      copy(table.first + item * table.stride, state[k].data() + place * table.columns,
           table.columns);
    }
  }
}

GatheredTables::GatheredTables(const Network& network, const TrainingSettings& settings,
                               Index lanes, Index rows, int threads)
    : shared_(network.shared),
      settings_(settings),
      support_(settings.support),
      threads_(threads),
      wy_(network.wy, rows),
      by_(network.by, rows),
      input_(network.input, network.shared ? 0 : rows),
      copy_(network),
      places_(rows),
      seen_(rows),
      inputs_(lanes),
      copied_support_(rows),
      scratch_stride_(round_up(
          at_least(RowRounding::scratch(wy_.all.columns), RowRounding::scratch(input_.all.columns)),
          kWidth)),
      scratch_(threads * scratch_stride_) {
  for (Index u = 0; u < rows; ++u) places_[u] = static_cast<std::int32_t>(u);
  settings_.support = copied_support_.data();
  copy_.wy = wy_.copied;
  copy_.by = by_.copied;
  copy_.input = shared_ ? wy_.copied : input_.copied;
}

void GatheredTables::find_inputs(const PlannedStep& step) {
  n_inputs_ = 0;
  if (shared_) return;
  for (Index u = 0; u < step.touched; ++u) seen_[u] = 0;
  for (Index i = 0; i < step.live; ++i) {
    std::int32_t& seen = seen_[step.input_row[i]];
    if (seen == 0) inputs_[n_inputs_++] = step.input_row[i];
    seen = 1;
  }
}

template <class Work>
void GatheredTables::for_rows(const PlannedStep& step, ThreadPool& pool, const Work& work) {
  const auto parts_of = [](Index rows) { return (rows + kPart - 1) / kPart; };
  const Index items = shared_ ? step.touched : step.scored;
  const Index of_items = parts_of(items), parts = of_items + parts_of(n_inputs_);
  pool.run(parts, parts >= kShared, [&](Index part, int thread) {
    if (part < of_items) {
      const Index first = part * kPart;
      work(wy_, RowList{nullptr, first, at_most(first + kPart, items)}, 0, thread);
      work(by_, RowList{nullptr, at_most(first, step.scored), at_most(first + kPart, step.scored)},
           0, thread);
    } else {
      const Index first = (part - of_items) * kPart;
      work(input_, RowList{inputs_.data(), first, at_most(first + kPart, n_inputs_)}, 1, thread);
    }
  });
}

PlannedStep GatheredTables::gather(const PlannedStep& step, ThreadPool& pool) {
  find_inputs(step);
  for_rows(step, pool,
           [&](Table& table, const RowList& places, int, int) { table.gather(step.rows, places); });
  for (Index u = 0; u < step.scored; ++u) copied_support_[u] = support_[step.rows[u]];
  PlannedStep copied = step;
  copied.rows = places_.data();
  return copied;
}

void GatheredTables::scatter(const PlannedStep& step, ThreadPool& pool) {
  for_rows(step, pool, [&](Table& table, const RowList& places, int number, int thread) {
    const RowRounding rounding(settings_.seed, step.step, number, table.all.columns);
    table.scatter(step.rows, places, rounding, scratch_.data() + thread * scratch_stride_);
  });
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
