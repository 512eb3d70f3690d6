// The paper's cell, first of the one-hot mode: x (B x 3H) are rows of Wx0 in the order n, r, z;
// r = σ(x_r + b_r + U_r h), z likewise, n = tanh(x_n + b_n + U_n (r ∘ h)), h' = (1 - z) ∘ h + z ∘
// n.
//
// Blocks of `gates`: r, z, n, r ∘ h. Blocks of `d_gates`: gradients of x_n, x_r, x_z, then of r ∘
// h.
#include "gru_step.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

void CellStep::forward_reset_before(Index lanes, Team& team) {
  const Index H = cell.units;
  const float* bias = cell.b_ih.value;
  const bool shared = 2 * H * H * lanes > kWorthSharing;

  team.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (int g = 0; g < 2; ++g) {
      product(n, lanes, H, Columns{cell.w_hh.value + g * H + first, 2 * H}, h_t.data(), lane_stride,
              gate(g, first), lane_stride, false);
    }
    for (Index j = first; j < first + n; ++j) {
      const float* x_r = x_t.data() + (H + j) * lane_stride;
      const float* x_z = x_t.data() + (2 * H + j) * lane_stride;
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec r = logistic(load(gate(0, j) + i) + load(x_r + i) + bias[H + j]);
        const Vec z = logistic(load(gate(1, j) + i) + load(x_z + i) + bias[2 * H + j]);
        store(gate(0, j) + i, r);
        store(gate(1, j) + i, z);
        store(gate(3, j) + i, r * load(h_t.data() + j * lane_stride + i));
      }
    }
  });

  team.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    product(n, lanes, H, Columns{cell.w_h.value + first, H}, gate(3, 0), lane_stride,
            gate(2, first), lane_stride, false);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec h_j = load(h_t.data() + j * lane_stride + i);
        const Vec x_n = load(x_t.data() + j * lane_stride + i);
        const Vec n_j = hyperbolic_tangent(load(gate(2, j) + i) + x_n + bias[j]);
        Vec new_h = h_j + load(gate(1, j) + i) * (n_j - h_j);
        if (dropped) new_h *= load(mask_t.data() + j * lane_stride + i);
        store(gate(2, j) + i, n_j);
        store(out_t.data() + j * lane_stride + i, new_h);
      }
    }
  });
}

void CellStep::backward_reset_before(Index lanes, Rates rates, Scratch* scratch, Team& team) {
  const Index H = cell.units;
  const bool shared = 2 * H * H * lanes > kWorthSharing;

  for (Index j = 0; j < H; ++j) {
    for (Index i = 0; i < lanes; i += kWidth) {
      Vec d_h = load(d_out_t.data() + j * lane_stride + i);
      if (dropped) d_h *= load(mask_t.data() + j * lane_stride + i);
      const Vec h_j = load(h_t.data() + j * lane_stride + i);
      const Vec z = load(gate(1, j) + i), n_j = load(gate(2, j) + i);
      store(d_gate(0, j) + i, d_h * z * (1.0f - n_j * n_j));
      store(d_gate(2, j) + i, d_h * (n_j - h_j) * z * (1.0f - z));
    }
  }

  team.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    product(n, lanes, H, Rows{cell.w_h.value + first * H, H}, d_gate(0, 0), lane_stride,
            d_gate(3, first), lane_stride, false);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec r = load(gate(0, j) + i);
        const Vec h_j = load(h_t.data() + j * lane_stride + i);
        store(d_gate(1, j) + i, load(d_gate(3, j) + i) * h_j * r * (1.0f - r));
      }
    }
  });
  transpose(3 * H, lanes, d_gates.data(), lane_stride, d_x.data(), input_stride);

  const Index blocks = unit_blocks(H);
  team.run(2 * blocks, shared, [&](Index chunk, int thread) {
    const Index first = chunk / 2 * kUnitBlock, n = at_most(H - first, kUnitBlock);
    if (chunk % 2 == 0) {
      update_rows(cell.w_h, first, n, lanes, gate(3, first), lane_stride, d_x.data(), input_stride,
                  rates, scratch[thread]);
    } else {
      update_rows(cell.w_hh, first, n, lanes, h_t.data() + first * lane_stride, lane_stride,
                  d_x.data() + H, input_stride, rates, scratch[thread]);
    }
  });
  sum_rows(3 * H, lanes, d_gates.data(), lane_stride, d_bias.data());
  adagrad_row(rates, 3 * H, cell.b_ih.value, cell.b_ih.accumulator, cell.b_ih.momentum,
              d_bias.data());
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
