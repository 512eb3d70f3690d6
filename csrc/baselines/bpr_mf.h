// Matrix factorisation of sessions x items, trained by LearnBPR (Rendle et al. 2009, Figure 4).
#pragma once

#include <cstdint>

#include "baselines/session_index.h"

namespace gru4rec_fast {

struct BprOptions {
  std::int64_t n_factors;
  std::int64_t n_epochs;  // an epoch draws as many triples as there are (session, item) pairs
  float learning_rate;
  float regularization;  // of all three rows that a triple updates
  std::uint64_t seed;
};

// Draws (session u, item i of u, item j not of u) uniformly, with replacement, and ascends
// ln sigmoid(w_u (h_i - h_j)) - regularization / 2 (|w_u|^2 + |h_i|^2 + |h_j|^2).
// sessions (n, n_factors) and items (V, n_factors) are row-major and updated in place; rows of
// sessions are numbered as in the index. A session that contains every item trains nothing.
void train_bpr_mf(const SessionIndex& index, float* sessions, float* items,
                  const BprOptions& options);

}  // namespace gru4rec_fast
