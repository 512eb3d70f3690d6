// The cell of torch.nn.GRUCell: r = σ(W_r x + b_r + U_r h + c_r), z likewise,
// n = tanh(W_n x + b_n + r ∘ (U_n h + c_n)), h' = (1 - z) ∘ n + z ∘ h.
//
// Blocks of `gates`: r, z, n, U_n h + c_n. Blocks of `d_gates`: what goes back through W_r and U_r,
// W_z and U_z, W_n, U_n.
#include "gru_step.h"

namespace gru4rec_fast::GRU4REC_FAST_ISA {

void CellStep::forward_reset_after(Index lanes, Team& team) {
  const Index H = cell.units, K = cell.inputs;
  const float* b_x = cell.b_ih.value;
  const float* b_h = cell.b_hh.value;
  const bool shared = 3 * H * (K + H) * lanes > kWorthSharing;
  team.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (int g = 0; g < 3; ++g) {
      const Index row = g * H + first;
      product(n, lanes, K, Rows{cell.w_ih.value + row * K, K}, x_t.data(), lane_stride,
              gate(g, first), lane_stride, false);
      product(n, lanes, H, Rows{cell.w_hh.value + row * H, H}, h_t.data(), lane_stride,
              gate(g < 2 ? g : 3, first), lane_stride, g < 2);
    }
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        const Vec h_j = load(h_t.data() + j * lane_stride + i);
        const Vec r = logistic(load(gate(0, j) + i) + (b_x[j] + b_h[j]));
        const Vec z = logistic(load(gate(1, j) + i) + (b_x[H + j] + b_h[H + j]));
        const Vec n_h = load(gate(3, j) + i) + b_h[2 * H + j];
        const Vec n_j = hyperbolic_tangent(load(gate(2, j) + i) + b_x[2 * H + j] + r * n_h);
        Vec new_h = n_j + z * (h_j - n_j);
        if (dropped) new_h *= load(mask_t.data() + j * lane_stride + i);
        store(gate(0, j) + i, r);
        store(gate(1, j) + i, z);
        store(gate(2, j) + i, n_j);
        store(gate(3, j) + i, n_h);
        store(out_t.data() + j * lane_stride + i, new_h);
      }
    }
  });
}

void CellStep::backward_reset_after(Index lanes, Rates rates, Scratch* scratch, Team& team) {
  const Index H = cell.units, K = cell.inputs;
  const bool shared = 3 * H * K * lanes > kWorthSharing;

  team.run(unit_blocks(H), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(H - first, kUnitBlock);
    for (Index j = first; j < first + n; ++j) {
      for (Index i = 0; i < lanes; i += kWidth) {
        Vec d_h = load(d_out_t.data() + j * lane_stride + i);
        if (dropped) d_h *= load(mask_t.data() + j * lane_stride + i);
        const Vec h_j = load(h_t.data() + j * lane_stride + i);
        const Vec r = load(gate(0, j) + i), z = load(gate(1, j) + i);
        const Vec n_j = load(gate(2, j) + i), n_h = load(gate(3, j) + i);
        const Vec d_n = d_h * (1.0f - z) * (1.0f - n_j * n_j);
        store(d_gate(0, j) + i, d_n * n_h * r * (1.0f - r));
        store(d_gate(1, j) + i, d_h * (h_j - n_j) * z * (1.0f - z));
        store(d_gate(2, j) + i, d_n);
        store(d_gate(3, j) + i, d_n * r);
      }
    }
    for (int g = 0; g < 4; ++g) {
      sum_rows(n, lanes, d_gate(g, first), lane_stride, d_bias.data() + g * H + first);
    }
  });

  team.run(unit_blocks(K), shared, [&](Index block, int) {
    const Index first = block * kUnitBlock, n = at_most(K - first, kUnitBlock);
    product(n, lanes, 3 * H, Columns{cell.w_ih.value + first, K}, d_gates.data(), lane_stride,
            d_x_t.data() + first * lane_stride, lane_stride, false);
  });

  const Index blocks = unit_blocks(H);
  team.run(6 * blocks, 3 * H * (K + H) * lanes > kWorthSharing, [&](Index chunk, int thread) {
    const int g = static_cast<int>(chunk / (2 * blocks));
    const Index first = chunk / 2 % blocks * kUnitBlock, n = at_most(H - first, kUnitBlock);
    if (chunk % 2 == 0) {
      update_rows(cell.w_ih, g * H + first, n, lanes, d_gate(g, first), lane_stride, x.data(),
                  input_stride, rates, scratch[thread]);
    } else {
      update_rows(cell.w_hh, g * H + first, n, lanes, d_gate(g < 2 ? g : 3, first), lane_stride,
                  h.data(), unit_stride, rates, scratch[thread]);
    }
  });
  float* d_b = d_bias.data();
  adagrad_row(rates, 3 * H, cell.b_ih.value, cell.b_ih.accumulator, cell.b_ih.momentum, d_b);
  for (Index j = 0; j < H; ++j) d_b[2 * H + j] = d_b[3 * H + j];
  adagrad_row(rates, 3 * H, cell.b_hh.value, cell.b_hh.accumulator, cell.b_hh.momentum, d_b);
}

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
