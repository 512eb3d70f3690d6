#include "engine/sharing_choice.h"

#include <algorithm>
#include <chrono>

namespace gru4rec_fast {
namespace {

// The first steps of a trial wake the other threads, and move data to their caches.
constexpr int kTrialSteps = 6;
// The interval is doubled after a trial that changed nothing.
constexpr int kFirstInterval = 24, kMaxInterval = 4096;
// What the other way has to gain.
constexpr double kMargin = 0.98;
// Longer steps are always worth sharing: a loop takes much longer than to hand it over.
constexpr double kLongStep = 2e-3;  // seconds

double now() {
  using Seconds = std::chrono::duration<double>;
  return Seconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void SharingChoice::Run::add(double seconds) {
  last[steps++ % 3] = seconds;
}

double SharingChoice::Run::best() const {
  return std::min({last[0], last[1], last[2]});
}

SharingChoice::SharingChoice() : interval_(kFirstInterval) {}

bool SharingChoice::shared() const {
  return shared_ != trying_;
}

void SharingChoice::begin_step() {
  begin_ = now();
}

void SharingChoice::end_step() {
  record(now() - begin_);
}

void SharingChoice::record(double seconds) {
  if (trying_) {
    trial_.add(seconds);
    if (trial_.steps == kTrialSteps) end_trial();
    return;
  }
  kept_.add(seconds);
  if (kept_.steps < interval_) return;
  if (shared_ && kept_.best() > kLongStep) {
    kept_ = {};
  } else {
    trying_ = true;
    trial_ = {};
  }
}

void SharingChoice::end_trial() {
  trying_ = false;
  if (trial_.best() < kMargin * kept_.best()) {
    shared_ = !shared_;
    interval_ = kFirstInterval;
  } else {
    interval_ = std::min(2 * interval_, kMaxInterval);
  }
  kept_ = {};
}

}  // namespace gru4rec_fast
