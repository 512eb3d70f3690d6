#include "gru_step.h"

#include "rows_ahead.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

CellStep::CellStep(const Cell& cell_of, Index max_lanes)
    : cell(cell_of),
      input_stride(row_stride(cell.inputs)),
      unit_stride(row_stride(cell.units)),
      lane_stride(row_stride(max_lanes)),
      x(max_lanes * input_stride),
      h(max_lanes * unit_stride),
      out(max_lanes * unit_stride),
      x_t(cell.inputs * lane_stride),
      h_t(cell.units * lane_stride),
      out_t(cell.units * lane_stride),
      mask_t(cell.units * lane_stride),
      gates(4 * cell.units * lane_stride),
      d_out_t(cell.units * lane_stride),
      d_gates(4 * cell.units * lane_stride),
      d_x_t(cell.reset_before ? 0 : cell.inputs * lane_stride),
      d_x(cell.reset_before ? max_lanes * input_stride : 0),
      d_bias(4 * cell.units) {}

void CellStep::forward(Index lanes, Team& team) {
  transpose(lanes, cell.inputs, x.data(), input_stride, x_t.data(), lane_stride);
  transpose(lanes, cell.units, h.data(), unit_stride, h_t.data(), lane_stride);
  if (cell.reset_before) {
    forward_reset_before(lanes, team);
  } else {
    forward_reset_after(lanes, team);
  }
  transpose(cell.units, lanes, out_t.data(), lane_stride, out.data(), unit_stride);
}

void CellStep::backward(Index lanes, Rates rates, Scratch* scratch, Team& team) {
  if (cell.reset_before) {
    backward_reset_before(lanes, rates, scratch, team);
  } else {
    backward_reset_after(lanes, rates, scratch, team);
  }
}

Index CellStep::scratch_size() const {
  return kUnitBlock * row_stride(at_least(cell.inputs, 2 * cell.units));
}

void update_rows(const Parameter& p, Index first, Index rows, Index lanes, const float* d,
                 Index d_stride, const float* y, Index y_stride, Rates rates, Scratch& scratch) {
  const Index stride = row_stride(p.columns);
  RowsAhead ahead(state_rows(p, nullptr, first, first + rows),
                  product_length(rows, p.columns, lanes));
  product(rows, p.columns, lanes, Rows{d, d_stride}, y, y_stride, scratch.floats.data(), stride,
          false, ahead);
  for (Index i = 0; i < rows; ++i) {
    adagrad_row(rates, p, first + i, scratch.floats.data() + i * stride);
  }
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
