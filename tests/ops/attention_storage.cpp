// Placement of sequences in rows.
#include "ops/attention_storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace sprue::test {
namespace {

using Lengths = std::vector<std::int64_t>;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// 0, ..., count - 1 in an order that depends on count alone.
Lengths shuffled(std::int64_t count) {
  Lengths order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::uint64_t random = 12345;
  for (std::size_t i = order.size(); i > 1; --i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    std::swap(order[i - 1], order[(random >> 33) % i]);
  }
  return order;
}

void place_padded(Placement& p, const Lengths& lengths, std::int64_t seqlen) {
  const auto batch = static_cast<std::int64_t>(lengths.size());
  p.extents = {batch, seqlen};
  p.reach = seqlen;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t i = 0; i < lengths[b]; ++i) p.rows[b * seqlen + i] = b * seqlen + i;
  }
}

void place_packed(Placement& p, const Lengths& lengths, std::int64_t seqlen, bool slack) {
  std::int64_t total = 0;
  p.cu_seqlens.push_back(0);
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    for (std::int64_t i = 0; i < lengths[b]; ++i)
      p.rows[static_cast<std::int64_t>(b) * seqlen + i] = total + i;
    total += lengths[b] + (slack ? 1 + static_cast<std::int64_t>(b) * 37 % 50 : 0);
    p.cu_seqlens.push_back(static_cast<float>(total));
  }
  p.extents = {slack ? total + 5 : total};  // the tensor may go on after the last sequence
  p.reach = seqlen;
}

void place_paged(Placement& p, const Lengths& lengths, std::int64_t seqlen, const Storage& storage) {
  const std::int64_t page_size = storage.page_size;
  p.max_pages = ceil_div(seqlen, page_size) + (storage.slack ? 1 : 0);
  p.reach = p.max_pages * page_size;
  std::int64_t used = 0;
  for (const std::int64_t length : lengths) used += ceil_div(length, page_size);
  const Lengths order = shuffled(used + 2);
  const std::int64_t unused = storage.wild ? 1 << 24 : order[static_cast<std::size_t>(used)];
  p.extents = {used + 2, page_size};
  std::size_t next = 0;
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    for (std::int64_t n = 0; n < p.max_pages; ++n) {
      const std::int64_t first = n * page_size, page = first < lengths[b] ? order[next++] : unused;
      p.block_table.push_back(static_cast<float>(page));
      for (std::int64_t i = first; i < std::min(first + page_size, lengths[b]); ++i) {
        p.rows[static_cast<std::int64_t>(b) * seqlen + i] = page * page_size + i - first;
      }
    }
  }
}

}  // namespace

std::string Storage::print() const {
  return (page_size > 0 ? fmt::format("pages of {}", page_size)
          : packed      ? "packed"
                        : "padded") +
         (slack ? " with slack" : "") + (wild ? ", wild table" : "");
}

std::int64_t Placement::count() const {
  return std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>());
}

Placement place(const Storage& storage, const Lengths& lengths, std::int64_t seqlen) {
  Placement p;
  p.rows.assign(lengths.size() * static_cast<std::size_t>(seqlen), -1);
  if (storage.page_size > 0) {
    place_paged(p, lengths, seqlen, storage);
  } else if (storage.packed) {
    place_packed(p, lengths, seqlen, storage.slack);
  } else {
    place_padded(p, lengths, seqlen);
  }
  const bool full =
      std::all_of(lengths.begin(), lengths.end(), [&](auto length) { return length == p.reach; });
  if (storage.slack || (!storage.packed && !full)) p.seqused.assign(lengths.begin(), lengths.end());
  return p;
}

std::vector<float> scatter(const Placement& p, std::span<const float> values, std::int64_t width) {
  std::vector<float> stored(static_cast<std::size_t>(p.count() * width), NAN);
  for (std::size_t row = 0; row < p.rows.size(); ++row) {
    if (p.rows[row] < 0) continue;
    const auto from = values.begin() + static_cast<std::int64_t>(row) * width;
    std::copy(from, from + width, stored.begin() + p.rows[row] * width);
  }
  return stored;
}

std::vector<float> gather(const Placement& p, std::span<const float> stored, std::int64_t width) {
  std::vector<float> values(p.rows.size() * static_cast<std::size_t>(width));
  for (std::size_t row = 0; row < p.rows.size(); ++row) {
    if (p.rows[row] < 0) continue;
    const auto from = stored.begin() + p.rows[row] * width;
    std::copy(from, from + width, values.begin() + static_cast<std::int64_t>(row) * width);
  }
  return values;
}

bool others_untouched(const Placement& p, std::span<const std::byte> stored) {
  if (p.count() == 0) return true;
  const std::size_t width = stored.size() / static_cast<std::size_t>(p.count());
  std::vector<bool> used(static_cast<std::size_t>(p.count()));
  for (const std::int64_t row : p.rows) {
    if (row >= 0) used[static_cast<std::size_t>(row)] = true;
  }
  for (std::size_t row = 0; row < used.size(); ++row) {
    const auto bytes = stored.subspan(row * width, width);
    const auto poisoned = [](std::byte byte) { return byte == std::byte{0xff}; };
    if (!used[row] && !std::all_of(bytes.begin(), bytes.end(), poisoned)) return false;
  }
  return true;
}

}  // namespace sprue::test
