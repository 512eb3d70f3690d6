// The choice between sharing a step's loops and working alone, with made-up times of steps.
#include "engine/sharing_choice.h"

#include "tests/require.h"

namespace gru4rec_fast {
namespace {

// What a step takes: shared, alone.
struct Times {
  double shared, alone;
};

// How many of the steps are shared.
int shared_steps(SharingChoice& choice, int steps, const Times& times) {
  int shared = 0;
  for (int step = 0; step < steps; ++step) {
    const bool now = choice.shared();
    shared += now ? 1 : 0;
    // Every fourth step is disturbed, as by another program.
    choice.record((now ? times.shared : times.alone) * (step % 4 == 3 ? 3 : 1));
  }
  return shared;
}

constexpr Times kHelps = {0.7e-4, 1e-4}, kHarms = {1.2e-4, 1e-4}, kLong = {8e-3, 5e-3};

void test_the_faster_way_is_kept() {
  SharingChoice helps, harms;
  REQUIRE(shared_steps(helps, 1, kHelps) == 1);  // begins shared
  REQUIRE(shared_steps(helps, 1999, kHelps) > 1940);
  shared_steps(harms, 100, kHarms);
  REQUIRE(shared_steps(harms, 1900, kHarms) < 60);
}

void test_the_choice_follows_the_machine() {
  SharingChoice choice;
  shared_steps(choice, 500, kHarms);
  REQUIRE(!choice.shared());
  shared_steps(choice, 10000, kHelps);
  REQUIRE(choice.shared());
  shared_steps(choice, 10000, kHarms);
  REQUIRE(!choice.shared());
}

void test_long_steps_are_shared_without_trials() {
  SharingChoice choice;
  REQUIRE(shared_steps(choice, 1000, kLong) == 1000);
}

}  // namespace
}  // namespace gru4rec_fast

int main() {
  gru4rec_fast::test_the_faster_way_is_kept();
  gru4rec_fast::test_the_choice_follows_the_machine();
  gru4rec_fast::test_long_steps_are_shared_without_trials();
}
