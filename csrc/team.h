// A few threads that share the chunks of a loop. The caller always works too and takes every chunk
// that no helper has begun, so a helper that the system does not schedule delays nothing. Helpers
// start with the first shared loop, or by assemble(), and end with the Team, which lives for one
// call from Python; they wait actively for some 30 microseconds, then sleep. Which thread runs a
// chunk is left to chance, so what a chunk computes may not depend on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace gru4rec_fast {

class Team {
 public:
  // `threads` >= 1, the caller included.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return threads_; }
  // Starts the helpers, which takes some 100 microseconds until they help.
  void assemble();

  // Calls work(chunk, thread) for every chunk 0..chunks-1, thread 0 being the caller. `work` may
  // not throw. With `shared` false, when there is too little work to be worth waking anyone, the
  // caller alone.
  template <class Work>
  void run(std::ptrdiff_t chunks, bool shared, const Work& work) {
    const bool rests = shared && resting_ > 0;
    if (rests) --resting_;
    if (!shared || rests || chunks < 2 || threads_ == 1) {
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

  int threads_;
  int resting_ = 0;  // loops that the caller still does alone, see team.cpp
  int next_rest_;
  int trouble_ = 0;
  Call call_ = nullptr;
  const void* context_ = nullptr;
  std::ptrdiff_t chunks_ = 0;
  std::atomic<std::ptrdiff_t> next_{0};
  std::atomic<bool> open_{false};     // a loop may be entered
  std::atomic<bool> closing_{false};  // the Team ends
  std::atomic<int> inside_{0};        // helpers that may read the fields above
  std::atomic<int> asleep_{0};
  std::atomic<int> helped_{0};  // chunks of this loop that helpers did
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> helpers_;
};

}  // namespace gru4rec_fast
