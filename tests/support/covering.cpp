// Greedy: a row starts with a pair that has not been met, and each further factor takes the level that meets
// most new pairs. Cohen et al. 1997, "The AETG system".
#include "support/covering.h"

#include <cstddef>

namespace sprue::test {
namespace {

/// Which pairs of levels no row has yet.
class OpenPairs {
 public:
  explicit OpenPairs(const std::vector<int>& levels) {
    for (const int count : levels) {
      first_.push_back(total_);
      total_ += static_cast<std::size_t>(count);
    }
    open_.assign(total_ * total_, false);
    for (std::size_t a = 0; a < levels.size(); ++a) {
      for (std::size_t b = a + 1; b < levels.size(); ++b) {
        for (int x = 0; x < levels[a]; ++x) {
          for (int y = 0; y < levels[b]; ++y) open_[at(a, x, b, y)] = true;
        }
      }
    }
  }

  bool is_open(std::size_t a, int x, std::size_t b, int y) const {
    return a < b ? open_[at(a, x, b, y)] : open_[at(b, y, a, x)];
  }
  void close(const std::vector<int>& row) {
    for (std::size_t a = 0; a < row.size(); ++a) {
      for (std::size_t b = a + 1; b < row.size(); ++b) open_[at(a, row[a], b, row[b])] = false;
    }
  }

 private:
  std::size_t at(std::size_t a, int x, std::size_t b, int y) const {
    return (first_[a] + static_cast<std::size_t>(x)) * total_ + first_[b] + static_cast<std::size_t>(y);
  }
  std::vector<std::size_t> first_;
  std::size_t total_ = 0;
  std::vector<bool> open_;
};

constexpr int kUnset = -1;

/// New pairs if `factor` takes `level` in a row that is set in part.
int gain(const OpenPairs& pairs, const std::vector<int>& row, std::size_t factor, int level) {
  int count = 0;
  for (std::size_t other = 0; other < row.size(); ++other) {
    if (row[other] != kUnset) count += pairs.is_open(factor, level, other, row[other]);
  }
  return count;
}

/// The open pairs that a level is part of, whatever the others are.
int open_pairs_of(const OpenPairs& pairs, const std::vector<int>& levels, std::size_t factor, int level) {
  int count = 0;
  for (std::size_t other = 0; other < levels.size(); ++other) {
    for (int y = 0; other != factor && y < levels[other]; ++y)
      count += pairs.is_open(factor, level, other, y);
  }
  return count;
}

}  // namespace

std::vector<std::vector<int>> covering_array(const std::vector<int>& levels) {
  OpenPairs pairs(levels);
  std::vector<std::vector<int>> rows;
  while (true) {
    std::vector<int> row(levels.size(), kUnset);
    int most = 0;
    for (std::size_t factor = 0; factor < levels.size(); ++factor) {  // the level with most to do comes first
      for (int level = 0; level < levels[factor]; ++level) {
        const int count = open_pairs_of(pairs, levels, factor, level);
        if (count <= most) continue;
        most = count;
        row.assign(levels.size(), kUnset);
        row[factor] = level;
      }
    }
    if (most == 0) return rows;
    for (std::size_t factor = 0; factor < levels.size(); ++factor) {
      if (row[factor] != kUnset) continue;
      int best = kUnset, best_gain = -1;
      for (int step = 0; step < levels[factor]; ++step) {  // ties go to another level in every row
        const int level = static_cast<int>((rows.size() + static_cast<std::size_t>(step)) % levels[factor]);
        const int count = gain(pairs, row, factor, level);
        if (count > best_gain) best = level, best_gain = count;
      }
      row[factor] = best;
    }
    pairs.close(row);
    rows.push_back(row);
  }
}

}  // namespace sprue::test
