#include "team.h"

#include <algorithm>
#include <chrono>

namespace gru4rec_fast {
namespace {

constexpr int kSpins = 64;  // between two looks at the clock
constexpr std::chrono::microseconds kPatience{30};

// Where other programs use the cores, a helper makes the caller wait for the chunk that it holds,
// or comes when all is done and takes the caller's time. When that happens again and again, the
// caller works alone for a while, for longer each time. A long wait counts twice a loop without
// help, a loop that was helped takes one back, and at kMostTrouble the caller is alone. A wait is
// long that also takes over half the time that the caller worked: chunks of some milliseconds
// seldom end together, and are worth sharing all the same.
constexpr std::chrono::microseconds kLongWait{100};
constexpr int kMostTrouble = 4;
constexpr int kFirstRest = 64, kLongestRest = 4096;  // loops

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Team::Team(int threads) : threads_(threads), next_rest_(kFirstRest) {}

Team::~Team() {
  if (helpers_.empty()) return;
  closing_ = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  for (auto& helper : helpers_) helper.join();
}

void Team::assemble() {
  for (int thread = static_cast<int>(helpers_.size()) + 1; thread < threads_; ++thread) {
    helpers_.emplace_back([this, thread] { help(thread); });
  }
}

void Team::share(std::ptrdiff_t chunks, const void* context, Call call) {
  assemble();
  call_ = call;
  context_ = context;
  chunks_ = chunks;
  next_ = 0;
  helped_ = 0;
  open_ = true;
  if (asleep_ > 0) {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  take_chunks(0);
  open_ = false;
  const auto worked = Clock::now() - begin;
  // A helper counts itself in before it looks whether the loop is open, so none can be overlooked.
  for (int spins = 0; inside_ > 0; ++spins) {
    if (spins < 4096) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  const auto waited = Clock::now() - begin - worked;
  const bool long_wait = waited > kLongWait && 2 * waited > worked;
  trouble_ = std::max(0, trouble_ + (long_wait ? 2 : helped_ > 0 ? -1 : 1));
  if (trouble_ >= kMostTrouble) {
    trouble_ = 0;
    resting_ = next_rest_;
    next_rest_ = std::min(2 * next_rest_, kLongestRest);
  } else if (next_rest_ > kFirstRest) {
    --next_rest_;
  }
}

void Team::take_chunks(int thread) {
  for (std::ptrdiff_t chunk = next_++; chunk < chunks_; chunk = next_++) {
    call_(context_, chunk, thread);
    if (thread > 0) ++helped_;
  }
}

void Team::help(int thread) {
  using Clock = std::chrono::steady_clock;
  auto idle_since = Clock::now();
  while (!closing_) {
    if (open_) {
      ++inside_;
      if (open_) take_chunks(thread);
      --inside_;
      // Nothing is left of this loop: look for the next one.
      idle_since = Clock::now();
      while (open_ && Clock::now() - idle_since < kPatience) pause();
      continue;
    }
    for (int spin = 0; spin < kSpins && !open_ && !closing_; ++spin) pause();
    if (!open_ && Clock::now() - idle_since > kPatience) {
      std::unique_lock<std::mutex> lock(mutex_);
      ++asleep_;
      wake_.wait(lock, [this] { return open_ || closing_; });
      --asleep_;
      idle_since = Clock::now();
    }
  }
}

}  // namespace gru4rec_fast
