// The plan of an epoch by several threads is that of one thread, and a hash table of rows that runs
// out of numbers goes on. Under the thread sanitizer (`make sanitize`) it shows data races too.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "data/lane_scheduler.h"
#include "data/negative_sampler.h"
#include "data/row_index.h"
#include "data/row_merge.h"

namespace {

using namespace gru4rec_fast;

constexpr std::int32_t kItems = 500;
constexpr std::int64_t kLanes = 12, kSamples = 70;
constexpr std::uint64_t kSeed = 9;

template <class T>
Span<T> span(const std::vector<T>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size())};
}

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

struct Log {
  std::vector<std::int32_t> items;
  std::vector<std::int64_t> offsets{0}, order;

  explicit Log(int sessions) {
    std::mt19937 bits(5);
    for (int s = 0; s < sessions; ++s) {
      for (auto i = 1 + bits() % 9; i > 0; --i) {
        items.push_back(static_cast<std::int32_t>(bits() % kItems));
      }
      offsets.push_back(static_cast<std::int64_t>(items.size()));
      order.push_back(s);
    }
  }
};

using Step = std::vector<std::int32_t>;

// All numbers of a block's steps, without the padding that depends on the block.
void add_steps(const LaneBlock& lanes, const std::vector<std::int32_t>& negatives,
               const MergedRows& merged, std::vector<Step>& steps) {
  const auto width = static_cast<std::size_t>(merged.width);
  for (std::size_t t = 0; t < lanes.live.size(); ++t) {
    Step step{lanes.live[t], merged.scored[t], merged.touched[t]};
    const auto add = [&](const auto& values, std::size_t columns, std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        step.push_back(static_cast<std::int32_t>(values[t * columns + i]));
      }
    };
    for (const auto* values :
         {&lanes.inputs, &lanes.targets, &lanes.source, &merged.target_row, &merged.input_row}) {
      add(*values, kLanes, kLanes);
    }
    add(lanes.events, kLanes, kLanes);
    add(lanes.restarts, kLanes, kLanes);
    add(negatives, kSamples, kSamples);
    for (const auto* values : {&merged.rows, &merged.target_count, &merged.sample_count}) {
      add(*values, width, static_cast<std::size_t>(merged.touched[t]));
    }
    steps.push_back(std::move(step));
  }
}

// All steps of an epoch. The threads take turns to plan lanes, and finish their blocks at once.
std::vector<Step> planned(const Log& log, const NegativeSampler& sampler, int threads,
                          std::int64_t block_steps) {
  LaneScheduler scheduler(span(log.items), span(log.offsets), span(log.order), kLanes, 1);
  std::mutex turn, storing;
  std::uint64_t next_step = 1000;
  std::map<std::uint64_t, std::vector<Step>> blocks;
  const auto plan = [&] {
    for (;;) {
      std::unique_lock<std::mutex> lock(turn);
      const LaneBlock lanes = scheduler.plan(block_steps);
      if (lanes.steps == 0) return;
      const std::uint64_t first = next_step;
      next_step += static_cast<std::uint64_t>(lanes.steps);
      lock.unlock();
      const auto negatives = sampler.draw(kSeed, first, lanes.steps, kSamples);
      const MergedRows merged = merge_rows(span(lanes.inputs), span(lanes.targets),
                                           span(lanes.live), span(negatives), kLanes, kSamples);
      std::vector<Step> steps;
      add_steps(lanes, negatives, merged, steps);
      const std::lock_guard<std::mutex> guard(storing);
      blocks[first] = std::move(steps);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(plan);
  plan();
  for (std::thread& thread : others) thread.join();
  std::vector<Step> all;
  for (auto& [first, steps] : blocks) {
    expect(first == 1000 + all.size(), "a block is missing");
    for (Step& step : steps) all.push_back(std::move(step));
  }
  return all;
}

void test_threads_and_blocks_plan_the_same() {
  const Log log(2000);
  std::vector<double> weights;
  for (int i = 0; i < kItems; ++i) weights.push_back(1.0 + i % 37);
  const NegativeSampler sampler(span(weights));
  const std::vector<Step> expected = planned(log, sampler, 1, 1000000);
  expect(expected.size() > 500, "the epoch is too short to show anything");
  for (const int threads : {1, 2, 3}) {
    for (const std::int64_t block_steps : {1, 10, 128}) {
      expect(planned(log, sampler, threads, block_steps) == expected, "another plan");
    }
  }
}

void test_a_row_index_outlives_its_numbers() {
  constexpr std::uint32_t kMost = 6;
  for (std::uint32_t below = 0; below < 40; ++below) {
    RowIndex index(kMost, UINT32_MAX - below);
    for (std::int32_t step = 0; step < 10; ++step) {
      std::int32_t items[kMost];
      index.start_step(items);
      for (std::int32_t i = 0; i < 6; ++i) {
        const std::int32_t item = (step + i) % 4;  // some of the step before, two of them twice
        const std::uint32_t row = index.find_or_add(item);
        expect(row == static_cast<std::uint32_t>(i % 4) && items[row] == item, "a wrong row");
      }
      expect(index.rows() == 4, "another number of rows");
    }
  }
}

}  // namespace

int main() {
  test_threads_and_blocks_plan_the_same();
  test_a_row_index_outlives_its_numbers();
  return 0;
}
