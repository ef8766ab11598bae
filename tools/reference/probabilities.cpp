// attention_probabilities: what dropout tests look at.
#include <algorithm>
#include <limits>

#include "reference/dropout.h"
#include "reference/scores.h"

namespace sprue::reference {

std::vector<double> attention_probabilities(const AttentionShape& p, const AttentionInputs& in,
                                            std::int64_t tile) {
  std::vector<double> result(static_cast<std::size_t>(p.lse_elements() * p.seqlen_k));
  for_each_query(p, [&](const Query& at) {
    const KeyRange keys = p.visible_keys(at.b, at.i);
    const auto scores = scores_of<double>(p, in, at, keys, [](double x) { return x; });
    double* const probabilities = result.data() + row(at.b, at.h, at.i, p.heads, p.seqlen_q, p.seqlen_k);
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t end = keys.end; end > keys.first;) {  // from the last tile to the first
      const std::int64_t first = std::max(keys.first, (end - 1) / tile * tile);
      for (std::int64_t j = first; j < end; ++j) largest = std::max(largest, scores[j - keys.first]);
      for (std::int64_t j = first; j < end; ++j) {
        const double value = std::exp(scores[j - keys.first] - largest);
        probabilities[j] = kept(p.dropout, at.b * p.heads + at.h, at.i, j) ? value : -value;
      }
      end = first;
    }
  });
  return result;
}

}  // namespace sprue::reference
