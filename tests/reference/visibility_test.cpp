// Visibility against its definition, and against masks drawn by hand.
#include "reference/visibility.h"

#include <limits>
#include <string>

#include "reference/attention.h"
#include "support/catch.h"

namespace sprue::reference {
namespace {

/// sprue/ops.h, word by word.
bool sees(const Visibility& v, std::int64_t p, std::int64_t j) {
  const auto chunk_of = [&](std::int64_t i) {
    std::int64_t number = 0;
    while (i < number * v.chunk) --number;
    while (i >= (number + 1) * v.chunk) ++number;
    return number;
  };
  if (v.causal && !(j <= p)) return false;
  if (v.window_left >= 0 && !(j >= p - v.window_left)) return false;
  if (v.window_right >= 0 && !(j <= p + v.window_right)) return false;
  return v.chunk == 0 || chunk_of(j) == chunk_of(p);
}

/// A line per query: "x" for keys that it sees.
std::string mask(const AttentionShape& shape) {
  std::string text;
  for (std::int64_t i = 0; i < shape.seqlen_q; ++i) {
    const KeyRange keys = shape.visible_keys(0, i);
    for (std::int64_t j = 0; j < shape.seqlen_k; ++j) text += j >= keys.first && j < keys.end ? 'x' : '.';
    text += '\n';
  }
  return text;
}

}  // namespace

TEST_CASE("a causal mask is aligned at the bottom right") {
  CHECK(mask({.seqlen_q = 2, .seqlen_k = 5, .causal = true}) == "xxxx.\nxxxxx\n");
  const AttentionShape more_queries{.batch = 2, .seqlen_q = 4, .seqlen_k = 2, .heads = 3, .causal = true};
  CHECK(mask(more_queries) == "..\n..\nx.\nxx\n");
  CHECK(more_queries.visible_pairs() == (0 + 0 + 1 + 2) * 2 * 3);
}

TEST_CASE("a window reaches to the left and to the right of the query's position") {
  CHECK(mask({.seqlen_q = 3, .seqlen_k = 5, .window_left = 1}) == ".xxxx\n..xxx\n...xx\n");
  CHECK(mask({.seqlen_q = 3, .seqlen_k = 5, .window_left = 1, .window_right = 1}) == ".xxx.\n..xxx\n...xx\n");
  CHECK(mask({.seqlen_q = 3, .seqlen_k = 5, .window_right = 0}) == "xxx..\nxxxx.\nxxxxx\n");
  CHECK(mask({.seqlen_q = 3, .seqlen_k = 1, .window_right = 1}) == ".\nx\nx\n");
}

TEST_CASE("chunks are aligned at the first key, and a query before it is in a chunk of its own") {
  CHECK(mask({.seqlen_q = 5, .seqlen_k = 5, .chunk = 2}) == "xx...\nxx...\n..xx.\n..xx.\n....x\n");
  CHECK(mask({.seqlen_q = 4, .seqlen_k = 2, .chunk = 3}) == "..\n..\nxx\nxx\n");  // positions -2 to 1
  CHECK(mask({.seqlen_q = 3, .seqlen_k = 4, .causal = true, .chunk = 2}) == "xx..\n..x.\n..xx\n");
}

TEST_CASE("every combination of limits is the definition") {
  constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max();
  for (const bool causal : {false, true}) {
    for (const std::int64_t left :
         {std::int64_t{-1}, std::int64_t{0}, std::int64_t{3}, std::int64_t{20}, kFar}) {
      for (const std::int64_t right : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{2}, kFar}) {
        for (const std::int64_t chunk : {0, 1, 3, 5, 40}) {
          const Visibility visibility{causal, left, right, chunk};
          // What is far goes beyond all keys, and the definition would overflow.
          Visibility near = visibility;
          if (left == kFar) near.window_left = 1000;
          if (right == kFar) near.window_right = 1000;
          bool same = true;
          for (std::int64_t p = -13; p < 15; ++p) {
            const KeyRange keys = visibility.keys(p, 9);
            same &= keys.first <= keys.end;
            for (std::int64_t j = 0; j < 9; ++j) {
              same &= (j >= keys.first && j < keys.end) == sees(near, p, j);
            }
          }
          INFO(causal << ' ' << left << ' ' << right << ' ' << chunk);
          CHECK(same);
        }
      }
    }
  }
}

}  // namespace sprue::reference
