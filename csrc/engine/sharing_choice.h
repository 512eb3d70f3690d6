// Whether the steps of a training share their loops among threads, decided by trying both.
//
// The loops of a small step last a few microseconds. Whether a second thread makes them faster or
// slower depends on the processor, on the way its cores exchange cache lines, and on what else
// runs. Results do not depend on the number of threads, so each step may run either way. From time
// to time a few steps run the other way, and the way that was faster is kept.
#pragma once

namespace gru4rec_fast {

class SharingChoice {
 public:
  SharingChoice();

  // Whether the next step shares its loops.
  bool shared() const;
  // Measure a step.
  void begin_step();
  void end_step();
  // Take the seconds of the step.
  void record(double seconds);

 private:
  // Steps of one way, one after the other.
  struct Run {
    int steps;
    double last[3];  // seconds of the last three
    void add(double seconds);
    double best() const;
  };

  void end_trial();

  bool shared_ = true;   // the way that is kept
  bool trying_ = false;  // the other way
  Run kept_{}, trial_{};
  int interval_;  // steps from one trial to the next
  double begin_ = 0;
};

}  // namespace gru4rec_fast
