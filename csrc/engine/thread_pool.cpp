#include "engine/thread_pool.h"

#include <algorithm>
#include <chrono>

namespace gru4rec_fast {
namespace {

constexpr int kSpins = 64;  // between two looks at the clock
constexpr std::chrono::microseconds kSpinTime{30};

// Where other programs use the cores, a helper makes the caller wait for its chunk, or arrives when
// the loop is done. Then sharing costs time. A penalty counts such loops:
// - a long wait adds two, a loop without help one, and a loop with help takes one away;
// - at kMaxPenalty the caller works alone for some loops, for more of them each time;
// - a wait is long if it exceeds kLongWait and half the time that the caller worked. Chunks of some
//   milliseconds rarely end together, and are worth sharing all the same.
constexpr std::chrono::microseconds kLongWait{100};
constexpr int kMaxPenalty = 4;
constexpr int kMinLoopsAlone = 64, kMaxLoopsAlone = 4096;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads), next_loops_alone_(kMinLoopsAlone) {}

ThreadPool::~ThreadPool() {
  if (helpers_.empty()) return;
  closing_ = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  for (auto& helper : helpers_) helper.join();
}

void ThreadPool::start() {
  for (int thread = static_cast<int>(helpers_.size()) + 1; thread < threads_; ++thread) {
    helpers_.emplace_back([this, thread] { help(thread); });
  }
}

void ThreadPool::share(std::ptrdiff_t chunks, const void* context, Call call) {
  start();
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
  // A helper increments inside_ before it checks open_, so the caller waits for every helper that
  // may still work.
  for (int spins = 0; inside_ > 0; ++spins) {
    if (spins < 4096) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  const auto waited = Clock::now() - begin - worked;
  judge_loop(waited > kLongWait && 2 * waited > worked);
}

void ThreadPool::judge_loop(bool long_wait) {
  penalty_ = std::max(0, penalty_ + (long_wait ? 2 : helped_ > 0 ? -1 : 1));
  if (penalty_ >= kMaxPenalty) {
    penalty_ = 0;
    loops_alone_ = next_loops_alone_;
    next_loops_alone_ = std::min(2 * next_loops_alone_, kMaxLoopsAlone);
  } else if (next_loops_alone_ > kMinLoopsAlone) {
    --next_loops_alone_;
  }
}

void ThreadPool::take_chunks(int thread) {
  for (std::ptrdiff_t chunk = next_++; chunk < chunks_; chunk = next_++) {
    call_(context_, chunk, thread);
    if (thread > 0) ++helped_;
  }
}

void ThreadPool::help(int thread) {
  using Clock = std::chrono::steady_clock;
  auto idle_since = Clock::now();
  while (!closing_) {
    if (open_) {
      ++inside_;
      if (open_) take_chunks(thread);
      --inside_;
      // No chunk of this loop is left: wait for the next loop.
      idle_since = Clock::now();
      while (open_ && Clock::now() - idle_since < kSpinTime) pause();
      continue;
    }
    for (int spin = 0; spin < kSpins && !open_ && !closing_; ++spin) pause();
    if (!open_ && Clock::now() - idle_since > kSpinTime) {
      std::unique_lock<std::mutex> lock(mutex_);
      ++asleep_;
      wake_.wait(lock, [this] { return open_ || closing_; });
      --asleep_;
      idle_since = Clock::now();
    }
  }
}

}  // namespace gru4rec_fast
