#include "data/lane_scheduler.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "data/prefetch.h"

namespace gru4rec_fast {
namespace {

constexpr std::int64_t kFirstRoom = 256;  // steps

std::string text(std::int64_t value) {
  return std::to_string(value);
}

}  // namespace

LaneScheduler::LaneScheduler(Span<std::int32_t> items, Span<std::int64_t> offsets,
                             Span<std::int64_t> order, std::int64_t lanes, std::int64_t min_live)
    : items_(items), offsets_(offsets), order_(order), n_taken_(order.size()), capacity_(lanes) {
  start(lanes, min_live);
}

LaneScheduler::LaneScheduler(Span<std::int32_t> items, Span<std::int64_t> offsets,
                             const SessionPermutation& order, std::int64_t lanes,
                             std::int64_t min_live)
    : items_(items),
      offsets_(offsets),
      order_(nullptr, 0),
      permutation_(order),
      n_taken_(order.size()),
      capacity_(lanes) {
  start(lanes, min_live);
}

void LaneScheduler::start(std::int64_t lanes, std::int64_t min_live) {
  if (lanes < 1 || lanes > INT32_MAX) {
    throw std::invalid_argument("lanes is " + text(lanes) +
                                "; expected 1..2147483647, pass the batch size");
  }
  if (min_live < 1) {
    throw std::invalid_argument("min_live is " + text(min_live) +
                                "; expected at least 1, pass 2 when there are no samples");
  }
  if (offsets_.size() < 1 || offsets_[0] != 0 || offsets_[offsets_.size() - 1] != items_.size()) {
    throw std::invalid_argument("offsets must start at 0 and end at the number of events, " +
                                text(items_.size()) + "; pass those of the same session store");
  }
  min_live_ = static_cast<std::size_t>(min_live);
  while (looked_up_ < std::min(kOffsetsAhead, n_taken_)) look_ahead();

  // More lanes than sessions: the rest would die before the first step.
  const auto n = static_cast<std::size_t>(std::min(lanes, n_taken_));
  lanes_.resize(n);
  free_.reserve(n);
  for (std::size_t b = 0; b < n; ++b) free_.push_back(static_cast<std::int32_t>(b));
  fill(free_);
  // Nothing precedes the first step, so each lane that is left continues itself.
  for (std::size_t b = 0; b < lanes_.size(); ++b) lanes_[b].source = static_cast<std::int32_t>(b);
}

// Looks up the session of the next place that is not in `ahead_`.
inline void LaneScheduler::look_ahead() {
  const std::int64_t session = permutation_ ? (*permutation_)[looked_up_] : order_[looked_up_];
  if (session < 0 || session >= offsets_.size() - 1) {
    throw std::invalid_argument("order holds session " + text(session) + " at position " +
                                text(looked_up_) + "; expected codes of 0.." +
                                text(offsets_.size() - 2));
  }
  ahead_[static_cast<std::size_t>(looked_up_++ % kOffsetsAhead)] = session;
  // A session may straddle two cache lines, and so may its two offsets.
  GRU4REC_FAST_PREFETCH(offsets_.data() + session);
  GRU4REC_FAST_PREFETCH(offsets_.data() + session + 1);
}

// Puts the next session of the order into `lane`; false when it has no pair.
inline bool LaneScheduler::take_session(Lane& lane) {
  const std::int64_t session = ahead_[static_cast<std::size_t>(next_++ % kOffsetsAhead)];
  if (looked_up_ < n_taken_) {
    look_ahead();
    const std::int64_t* near =
        offsets_.data() + ahead_[static_cast<std::size_t>((next_ + kItemsAhead) % kOffsetsAhead)];
    if (near[0] >= 0 && near[0] < near[1] && near[1] <= items_.size()) {
      GRU4REC_FAST_PREFETCH(items_.data() + near[0]);
      GRU4REC_FAST_PREFETCH(items_.data() + near[1] - 1);
    }
  }
  const std::int64_t first = offsets_[session];
  const std::int64_t end = offsets_[session + 1];
  if (first < 0 || first > end || end > items_.size()) {
    throw std::invalid_argument("offsets go from " + text(first) + " to " + text(end) +
                                " at session " + text(session) +
                                "; expected them to ascend in 0.." + text(items_.size()) +
                                ", pass those of a session store");
  }
  const std::int64_t last = end - 1;
  if (last <= first) return false;
  lane.event = first;
  lane.last = last;
  lane.item = items_[first];
  lane.restart = true;
  return true;
}

// Fills the lanes of `free` (ascending) round by round; those that stay empty die. Leaves it empty.
void LaneScheduler::fill(std::vector<std::int32_t>& free) {
  while (!free.empty() && next_ < n_taken_) {
    std::size_t kept = 0;
    for (const std::int32_t b : free) {
      const bool filled = next_ < n_taken_ && take_session(lanes_[static_cast<std::size_t>(b)]);
      if (!filled) free[kept++] = b;
    }
    free.resize(kept);
  }
  if (free.empty()) return;
  std::size_t live = static_cast<std::size_t>(free.front());
  std::size_t dead = 0;
  for (std::size_t b = live; b < lanes_.size(); ++b) {
    if (dead < free.size() && static_cast<std::size_t>(free[dead]) == b) {
      ++dead;
    } else {
      lanes_[live++] = lanes_[b];
    }
  }
  lanes_.resize(live);
  free.clear();
}

LaneBlock LaneScheduler::plan(std::int64_t steps) {
  if (steps < 0) {
    throw std::invalid_argument("steps is " + text(steps) + "; expected at least 0");
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failed_) {
    throw std::invalid_argument(
        "an earlier block of this epoch could not be planned; expected no further call, make a "
        "new scheduler from intact sessions");
  }
  failed_ = true;  // until the block is whole
  LaneBlock block{0, capacity_, {}, {}, {}, {}, {}, {}};
  const auto width = static_cast<std::size_t>(capacity_);
  const auto resize = [&](std::int64_t rows) {
    const std::size_t room = static_cast<std::size_t>(rows) * width;
    block.inputs.resize(room);
    block.targets.resize(room);
    block.restarts.resize(room);
    block.source.resize(room);
    block.events.resize(room);
  };

  std::int64_t room = 0;
  std::int64_t t = 0;
  for (; t < steps && lanes_.size() >= min_live_; ++t) {
    if (t == room) {  // `steps` may lie far beyond the end of the epoch: grow as needed
      room = std::min(steps, std::max(kFirstRoom, 2 * room));
      resize(room);
    }
    const std::size_t row = static_cast<std::size_t>(t) * width;
    std::int32_t* inputs = block.inputs.data() + row;
    std::int32_t* targets = block.targets.data() + row;
    std::uint8_t* restarts = block.restarts.data() + row;
    std::int32_t* source = block.source.data() + row;
    std::int64_t* events = block.events.data() + row;
    const std::size_t live = lanes_.size();
    for (std::size_t b = 0; b < live; ++b) {
      Lane& lane = lanes_[b];
      inputs[b] = lane.item;
      restarts[b] = lane.restart;
      source[b] = lane.source;
      events[b] = lane.event;
      lane.item = items_[++lane.event];
      targets[b] = lane.item;
      lane.restart = false;
      lane.source = static_cast<std::int32_t>(b);
      if (lane.event == lane.last) free_.push_back(static_cast<std::int32_t>(b));
    }
    std::fill(source + live, source + width, -1);
    std::fill(events + live, events + width, std::int64_t{-1});
    block.live.push_back(static_cast<std::int32_t>(live));
    if (!free_.empty()) fill(free_);
  }

  block.steps = t;
  resize(t);
  failed_ = false;
  return block;
}

}  // namespace gru4rec_fast
