// One GRU cell over the lanes of a step: new state, and the backward pass with the update of the
// cell's own weights. The twin of kernels/gru_step.py and of `reference.gru_reset_after` (file
// gru_reset_after.cpp) and `reference.gru_reset_before` (gru_reset_before.cpp).
//
// Order within a step: the owner fills x, h and, with dropout, mask_t and dropped; forward()
// computes out; backward() takes the gradient of out and computes the one of x. The carried state h
// is a constant.
#pragma once

#include "buffer.h"
#include "lane_matrix.h"
#include "sparse_adagrad.h"
#include "team.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

// What a thread needs for the gradient of a few rows, and for a tile of packed item rows.
struct Scratch {
  Buffer floats;
  Buffer strips;
};

struct CellStep {
  CellStep(const Cell& cell_of, Index max_lanes);

  Cell cell;
  Index input_stride;    // floats a row of x
  Index unit_stride;     // of h, out
  Index lane_stride;     // of everything "_t"
  bool dropped = false;  // out is multiplied by mask_t

  // lanes x units, owned by this cell. x (B x K; one-hot: B x 3H, rows of Wx0) and h (B x H, the
  // carried state) are inputs, out (B x H) is the new state after dropout.
  Buffer x, h, out;
  // units x lanes. mask_t (H x B) is an input with dropout; d_out_t (H x B), the gradient of out,
  // is the input of backward(). gates and d_gates are private to the cell: 4 blocks of H x B.
  Buffer x_t, h_t, out_t, mask_t, gates, d_out_t, d_gates;
  // The gradient of x: d_x_t (K x B), or of the one-hot cell d_x (B x 3H).
  Buffer d_x_t, d_x;
  Buffer d_bias;

  void forward(Index lanes, Team& team);
  // `scratch`: one for each thread of the team, of scratch_size() floats.
  void backward(Index lanes, Rates rates, Scratch* scratch, Team& team);
  Index scratch_size() const;

 private:
  void forward_reset_after(Index lanes, Team& team);
  void forward_reset_before(Index lanes, Team& team);
  void backward_reset_after(Index lanes, Rates rates, Scratch* scratch, Team& team);
  void backward_reset_before(Index lanes, Rates rates, Scratch* scratch, Team& team);

  float* gate(int block, Index unit) {
    return gates.data() + (block * cell.units + unit) * lane_stride;
  }
  float* d_gate(int block, Index unit) {
    return d_gates.data() + (block * cell.units + unit) * lane_stride;
  }
};

// Units are shared out in blocks of this many.
inline constexpr Index kUnitBlock = 36;

inline Index unit_blocks(Index units) {
  return (units + kUnitBlock - 1) / kUnitBlock;
}

// Rows `first` .. first + rows - 1 of a dense parameter: their gradient is d (rows x lanes) times
// y (lanes x columns); Adagrad uses it while it is in the cache.
void update_rows(const Parameter& p, Index first, Index rows, Index lanes, const float* d,
                 Index d_stride, const float* y, Index y_stride, Rates rates, Scratch& scratch);

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
