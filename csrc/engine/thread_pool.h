// Threads that share the chunks of a loop.
//
// The calling thread works too and takes every chunk that no helper thread has begun, so a helper
// that the system does not schedule delays nothing. Helpers start with the first shared loop, or
// by start(), and end with the pool, which lives for one call from Python. Between loops they spin
// for some 30 microseconds, then sleep. Which thread runs a chunk is not determined, so the result
// of a chunk may not depend on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace gru4rec_fast {

class ThreadPool {
 public:
  // `threads` >= 1, the caller included.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Starts the helpers; it takes some 100 microseconds until they can help.
  void start();

  // Whether loops may be shared from now on; at first they may.
  __attribute__((always_inline)) void allow_sharing(bool allowed) { sharing_ = allowed; }

  // Calls work(chunk, thread) for every chunk 0..chunks-1, thread 0 being the caller. `work` may
  // not throw. With `shared` false, when the loop is too short to be shared, the caller works
  // alone.
  template <class Work>
  void run(std::ptrdiff_t chunks, bool shared, const Work& work) {
    shared = shared && sharing_;
    const bool alone = shared && loops_alone_ > 0;
    if (alone) --loops_alone_;
    if (!shared || alone || chunks < 2 || threads_ == 1) {
      for (std::ptrdiff_t chunk = 0; chunk < chunks; ++chunk) work(chunk, 0);
      return;
    }
    share(chunks, &work, [](const void* context, std::ptrdiff_t chunk, int thread) {
      (*static_cast<const Work*>(context))(chunk, thread);
    });
  }

 private:
  using Call = void (*)(const void* context, std::ptrdiff_t chunk, int thread);

  void share(std::ptrdiff_t chunks, const void* context, Call call);
  void take_chunks(int thread);
  void help(int thread);
  void judge_loop(bool long_wait);

  int threads_;
  bool sharing_ = true;
  int loops_alone_ = 0;  // loops that the caller still runs without helpers, see thread_pool.cpp
  int next_loops_alone_;
  int penalty_ = 0;
  Call call_ = nullptr;
  const void* context_ = nullptr;
  std::ptrdiff_t chunks_ = 0;
  std::atomic<std::ptrdiff_t> next_{0};
  std::atomic<bool> open_{false};     // a loop may be entered
  std::atomic<bool> closing_{false};  // the pool ends
  std::atomic<int> inside_{0};        // helpers that may read the fields above
  std::atomic<int> asleep_{0};
  std::atomic<int> helped_{0};  // chunks of this loop that helpers did
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> helpers_;
};

}  // namespace gru4rec_fast
