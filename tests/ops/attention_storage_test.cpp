// Placement of sequences, on the host.
#include "ops/attention_storage.h"

#include <cmath>
#include <set>

#include "support/catch.h"

namespace sprue::test {
namespace {

using Floats = std::vector<float>;

const std::vector<std::int64_t> kLengths = {3, 0, 5};

}  // namespace

TEST_CASE("padded sequences") {
  const Placement p = place({}, kLengths, 5);
  CHECK(p.extents == std::vector<std::int64_t>{3, 5});
  CHECK(p.rows == std::vector<std::int64_t>{0, 1, 2, -1, -1, -1, -1, -1, -1, -1, 10, 11, 12, 13, 14});
  CHECK(p.seqused == Floats{3, 0, 5});
  CHECK(p.cu_seqlens.empty());
  CHECK(p.reach == 5);
  CHECK(place({}, {5, 5}, 5).seqused.empty());
  CHECK(place({.slack = true}, {5, 5}, 5).seqused == Floats{5, 5});
}

TEST_CASE("packed sequences") {
  const Placement p = place({.packed = true}, kLengths, 6);
  CHECK(p.extents == std::vector<std::int64_t>{8});
  CHECK(p.cu_seqlens == Floats{0, 3, 3, 8});
  CHECK(p.seqused.empty());
  CHECK(p.rows[2] == 2);
  CHECK(p.rows[3] == -1);
  CHECK(p.rows[12 + 4] == 7);
  const Placement loose = place({.packed = true, .slack = true}, kLengths, 6);
  CHECK(loose.seqused == Floats{3, 0, 5});
  CHECK(loose.cu_seqlens == Floats{0, 4, 42, 72});  // slack of 1, 38 and 25 rows
  CHECK(loose.count() == 77);
}

TEST_CASE("sequences in pages") {
  for (const bool slack : {false, true}) {
    const Placement p = place({.page_size = 2, .slack = slack}, kLengths, 5);
    CHECK(p.max_pages == (slack ? 4 : 3));
    CHECK(p.extents == std::vector<std::int64_t>{2 + 0 + 3 + 2, 2});
    CHECK(p.seqused == Floats{3, 0, 5});
    CHECK(p.block_table.size() == static_cast<std::size_t>(3 * p.max_pages));
    std::set<float> used;
    for (std::size_t b = 0; b < 3; ++b) {
      for (std::int64_t i = 0; i < 5; ++i) {
        const std::int64_t row = p.rows[static_cast<std::int64_t>(b) * 5 + i];
        if (i >= kLengths[b]) {
          CHECK(row == -1);
          continue;
        }
        const float page = p.block_table[static_cast<std::int64_t>(b) * p.max_pages + i / 2];
        CHECK(row == static_cast<std::int64_t>(page) * 2 + i % 2);
        if (i % 2 == 0) CHECK(used.insert(page).second);  // no page is used twice
      }
    }
    CHECK(used.size() == 5);
    CHECK(used.count(p.block_table[static_cast<std::size_t>(p.max_pages)]) == 0);  // of the empty sequence
  }
  CHECK(place({.page_size = 4, .wild = true}, {0}, 8).block_table == Floats{1 << 24, 1 << 24});
  CHECK(place({.page_size = 4}, {8, 8}, 8).seqused.empty());
  const Placement many = place({.page_size = 1}, {40}, 40);
  CHECK(!std::is_sorted(many.block_table.begin(), many.block_table.end()));
}

TEST_CASE("rows go into the tensor and come back, and what is between them is seen") {
  Floats values(3 * 5 * 2);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (const Storage& storage : {Storage{}, Storage{.packed = true, .slack = true}, Storage{.page_size = 2},
                                 Storage{.packed = true}}) {
    INFO(storage.print());
    const Placement p = place(storage, kLengths, 5);
    const Floats stored = scatter(p, values, 2);
    CHECK(stored.size() == static_cast<std::size_t>(p.count() * 2));
    CHECK(std::count_if(stored.begin(), stored.end(), [](float x) { return std::isnan(x); }) ==
          2 * (p.count() - 8));
    const Floats back = gather(p, stored, 2);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(back[i] == (p.rows[i / 2] < 0 ? 0 : values[i]));

    std::vector<std::byte> bytes(static_cast<std::size_t>(p.count()) * 6, std::byte{0xff});
    for (const std::int64_t row : p.rows) {
      if (row >= 0) bytes[static_cast<std::size_t>(row) * 6 + 5] = std::byte{0};
    }
    CHECK(others_untouched(p, bytes));
    if (p.count() == 8) continue;
    for (std::int64_t row = 0; row < p.count(); ++row) {
      if (std::find(p.rows.begin(), p.rows.end(), row) != p.rows.end()) continue;
      bytes[static_cast<std::size_t>(row) * 6] = std::byte{0};
      break;
    }
    CHECK_FALSE(others_untouched(p, bytes));
  }
}

TEST_CASE("an empty batch and sequences without rows can be placed") {
  CHECK(place({.packed = true}, {}, 5).cu_seqlens == Floats{0});
  CHECK(place({.packed = true}, {0, 0}, 5).count() == 0);
  CHECK(place({.page_size = 8}, {0, 0}, 0).max_pages == 0);
}

}  // namespace sprue::test
