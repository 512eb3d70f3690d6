// Session-parallel mini-batches (Hidasi et al., ICLR 2016, section 3.1.1).
//
// B lanes each hold one session. A step takes the current item of each live lane as input and the
// next item of the same session as target. A lane whose session has no next item is free and takes
// the next session of the order. Lanes are filled in rounds: all free lanes, in lane order, take
// the next sessions; a lane that got a session without a pair is free again in the next round.
// When no session is left the free lanes die, and the live lanes move up in their order. The epoch
// ends when fewer than `min_live` lanes live.
//
// Steps are planned in blocks. A plan does not depend on how it is cut into blocks.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "data/session_permutation.h"
#include "data/span.h"

namespace gru4rec_fast {

// T steps of B lanes, row-major. Beyond live[t] lanes a row holds 0, 0, 0, -1, -1.
struct LaneBlock {
  std::int64_t steps;                  // T
  std::int64_t lanes;                  // B
  std::vector<std::int32_t> inputs;    // (T, B) current item
  std::vector<std::int32_t> targets;   // (T, B) next item of the session
  std::vector<std::uint8_t> restarts;  // (T, B) 1 where the session starts: zero state before it
  std::vector<std::int32_t> source;    // (T, B) lane of the previous step whose state goes on here
  std::vector<std::int64_t> events;    // (T, B) index into `items` of the input event
  std::vector<std::int32_t> live;      // (T,) live lanes M
};

class LaneScheduler {
  // With a shuffled order each new session costs two dependent cache misses: its offset, then its
  // items. Both are prefetched, the offset early enough to be read when the items are prefetched.
  static constexpr std::int64_t kOffsetsAhead = 64;
  static constexpr std::int64_t kItemsAhead = 32;

 public:
  // `items` (E,), `offsets` (n + 1,) and `order` (any sequence of session codes) are borrowed and
  // must outlive the scheduler unchanged. They may be memory maps: nothing is read before its turn.
  // Throws std::invalid_argument for lanes < 1, min_live < 1, and offsets that do not go from 0 to
  // E.
  LaneScheduler(Span<std::int32_t> items, Span<std::int64_t> offsets, Span<std::int64_t> order,
                std::int64_t lanes, std::int64_t min_live);
  // With a computed order of all n sessions.
  LaneScheduler(Span<std::int32_t> items, Span<std::int64_t> offsets,
                const SessionPermutation& order, std::int64_t lanes, std::int64_t min_live);

  // The next at most `steps` steps; T = 0 when the epoch is over. Safe to call from any thread.
  // Throws std::invalid_argument for a code in `order` outside 0..n-1, up to 64 sessions before its
  // turn, and for a session whose offsets descend or lie outside 0..E; after that, always.
  LaneBlock plan(std::int64_t steps);

 private:
  struct Lane {
    std::int64_t event;  // the input event of the next step
    std::int64_t last;   // the session's last event
    std::int32_t item;   // items[event], kept so that each item is read once
    std::int32_t source;
    bool restart;
  };

  void start(std::int64_t lanes, std::int64_t min_live);
  void look_ahead();
  bool take_session(Lane& lane);
  void fill(std::vector<std::int32_t>& free);

  Span<std::int32_t> items_;
  Span<std::int64_t> offsets_;
  Span<std::int64_t> order_;
  std::optional<SessionPermutation> permutation_;    // instead of `order`
  std::int64_t n_taken_;                             // sessions of the epoch
  std::array<std::int64_t, kOffsetsAhead> ahead_{};  // session of place i at i mod its size
  std::int64_t looked_up_ = 0;                       // places whose session is in `ahead_`
  std::size_t min_live_ = 0;
  std::int64_t capacity_;    // B
  std::int64_t next_ = 0;    // place in the order
  std::vector<Lane> lanes_;  // live lanes
  std::vector<std::int32_t> free_;
  bool failed_ = false;  // lanes may stand at the ends of their sessions
  std::mutex mutex_;
};

}  // namespace gru4rec_fast
