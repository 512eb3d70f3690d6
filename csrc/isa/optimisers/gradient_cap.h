// An optimiser that caps the norm of a step's gradients: it collects them all, and hands them on at
// the end of the step, scaled by cap / norm if the norm over all of them reaches the cap.
//
// The gradients are handed on in the same groups of rows as they came. So a step whose norm is
// below the cap gives the same bits as without a cap.
#pragma once

#include <vector>

#include "engine/buffer.h"
#include "isa/index_array.h"
#include "isa/optimisers/optimiser.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

class GradientCap final : public Optimiser {
 public:
  // `optimiser` is borrowed.
  GradientCap(Optimiser& optimiser, double cap) : optimiser_(optimiser), cap_(cap) {}

  // Makes room for the gradients of a parameter, of up to max_rows rows at a step. Everything that
  // a step trains has to be added once for each origin of its gradients.
  void add(const Parameter& p, RowOrigin origin, Index max_rows);

  // The place of a gradient in its list of rows is its place here: no two calls of a step may give
  // the same one.
  void update(const Parameter& p, const RowList& rows, const float* g, Index g_stride,
              RowOrigin origin) const override;
  void set_learning_rate(float rate) override { optimiser_.set_learning_rate(rate); }
  void finish_step(ThreadPool& pool) const override;

 private:
  // The gradients of one parameter. Threads write different rows.
  struct Collected {
    Collected(const Parameter& parameter, RowOrigin rows_origin, Index max_rows);

    Parameter p;
    RowOrigin origin;
    Index places, stride;
    Buffer g;         // (places x columns)
    Buffer squares;   // (places) the sum of squares of each gradient
    IndexArray rows;  // (places) the row of the parameter
    IndexArray size;  // (places) at the first row of each group, how many rows it has, else 0
  };

  Collected& find(const Parameter& p, RowOrigin origin) const;
  float scale() const;
  void hand_on(Collected& c, Index begin, Index end, float scale) const;

  Optimiser& optimiser_;
  double cap_;
  std::vector<std::unique_ptr<Collected>> collected_;
};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
