// For each item the most similar other items by their co-occurrence in sessions (ItemKNN).
#pragma once

#include <cstdint>
#include <vector>

#include "baselines/session_index.h"

namespace gru4rec_fast {

// Item i has items[offsets[i]:offsets[i + 1]], the most similar first.
struct ItemLists {
  std::vector<std::int64_t> offsets;  // (V + 1,)
  std::vector<std::int32_t> items;
  std::vector<double> similarities;
};

// similarity(i, j) = c_ij / ((supp_i + lmbd)^alpha (supp_j + lmbd)^(1 - alpha)): c_ij sessions with
// both items, supp_i sessions with item i. An item is not in its own list. Of equal items the lower
// one comes first. `index` must keep all sessions of each item.
// Cost: O(sum of squared session lengths); memory O(V n_sims).
ItemLists similar_items(const SessionIndex& index, std::int64_t n_sims, double lmbd, double alpha);

}  // namespace gru4rec_fast
