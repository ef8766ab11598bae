// Covering arrays: every pair is met, in few rows.
#include "support/covering.h"

#include "support/catch.h"

namespace sprue::test {
namespace {

/// Whether x of factor a and y of factor b meet.
bool meet(const std::vector<std::vector<int>>& rows, std::size_t a, int x, std::size_t b, int y) {
  for (const auto& row : rows) {
    if (row[a] == x && row[b] == y) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("every two levels of every two factors meet in a covering array") {
  const std::vector<int> shapes[] = {
      {2, 2}, {3, 4, 2}, std::vector<int>(10, 2), {10, 8, 7, 7, 5, 4, 4, 3, 3, 2, 2, 2}};
  for (const std::vector<int>& levels : shapes) {
    const auto rows = covering_array(levels);
    bool complete = true, valid = true;
    for (std::size_t a = 0; a < levels.size(); ++a) {
      for (const auto& row : rows) valid &= row[a] >= 0 && row[a] < levels[a];
      for (std::size_t b = a + 1; b < levels.size(); ++b) {
        for (int x = 0; x < levels[a]; ++x) {
          for (int y = 0; y < levels[b]; ++y) complete &= meet(rows, a, x, b, y);
        }
      }
    }
    CHECK(complete);
    CHECK(valid);
  }
}

TEST_CASE("a covering array is short, and always the same") {
  CHECK(covering_array({2, 2}).size() == 4);
  CHECK(covering_array({3, 4, 2}).size() <= 13);
  CHECK(covering_array(std::vector<int>(10, 2)).size() <= 10);
  CHECK(covering_array({10, 8, 7, 7, 5, 4, 4, 3, 3, 2, 2, 2}).size() <= 100);
  CHECK(covering_array({10, 8, 5}) == covering_array({10, 8, 5}));
}

TEST_CASE("one factor has no pairs") {
  CHECK(covering_array({}).empty());
  CHECK(covering_array({5}).empty());
}

}  // namespace sprue::test
