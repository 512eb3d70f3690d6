#include "baselines/item_similarity.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "baselines/sparse_sums.h"

namespace gru4rec_fast {

ItemLists similar_items(const SessionIndex& index, std::int64_t n_sims, double lmbd, double alpha) {
  if (n_sims < 1) {
    throw std::invalid_argument("n_sims is " + std::to_string(n_sims) +
                                "; expected the number of similar items to keep, at least 1");
  }
  const auto v = static_cast<std::size_t>(index.n_items());
  std::vector<double> row_norm(v), column_norm(v);
  for (std::size_t i = 0; i < v; ++i) {
    const double support = static_cast<double>(index.support(static_cast<std::int64_t>(i))) + lmbd;
    row_norm[i] = std::pow(support, alpha);
    column_norm[i] = std::pow(support, 1.0 - alpha);
  }
  ItemLists lists;
  lists.offsets.push_back(0);
  SparseSums together(index.n_items());
  std::vector<std::pair<double, std::int32_t>> row;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(v); ++i) {
    together.start();
    for (const std::int32_t session : index.sessions_of(i)) {
      for (const std::int32_t j : index.items_of(session)) together.add(j, 1);
    }
    row.clear();
    for (const std::int32_t j : together.items()) {
      if (j == i) continue;
      const double norm =
          row_norm[static_cast<std::size_t>(i)] * column_norm[static_cast<std::size_t>(j)];
      row.emplace_back(-static_cast<double>(together[j]) / norm, j);
    }
    const std::size_t kept = std::min(row.size(), static_cast<std::size_t>(n_sims));
    std::partial_sort(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(kept), row.end());
    for (std::size_t e = 0; e < kept; ++e) {
      lists.similarities.push_back(-row[e].first);
      lists.items.push_back(row[e].second);
    }
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

}  // namespace gru4rec_fast
