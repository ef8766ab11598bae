// How the sequences of a batch lie in a tensor: padded to one length, packed one after the other, or in
// pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sprue::test {

struct Storage {
  bool packed = false;
  std::int64_t page_size = 0;  ///< Above 0: in pages.
  bool slack = false;          ///< Rows that do not count follow every sequence, and seqused says so.
  bool wild = false;           ///< Entries of the block table beyond a sequence are no pages at all.

  std::string print() const;  ///< "padded", "packed with slack", "pages of 16"
};

/// Where the rows of sequences lie. Index arrays are floats, as DeviceTensor takes them; empty: not given.
struct Placement {
  std::vector<std::int64_t>
      extents;                     ///< Of the tensor's rows: {batch, seqlen}, {total} or {pages, page_size}
  std::vector<std::int64_t> rows;  ///< [batch * seqlen]: of row i of sequence b; -1: it is shorter.
  std::vector<float> cu_seqlens, seqused, block_table;
  std::int64_t max_pages = 0;
  std::int64_t reach = 0;  ///< The most rows that a sequence can have: the extent of bias and probabilities.

  std::int64_t count() const;  ///< Rows in the tensor.
};

/// No length is above seqlen. seqused is given where the tensor alone does not tell the lengths. Pages are
/// dealt in shuffled order; entries of the block table beyond a sequence name a page that no sequence uses,
/// unless they are wild.
Placement place(const Storage& storage, const std::vector<std::int64_t>& lengths, std::int64_t seqlen);

/// The tensor of rows of `width` elements whose values are those of [batch, seqlen, width]; the others are
/// NaN.
std::vector<float> scatter(const Placement& placement, std::span<const float> values, std::int64_t width);
/// The way back; 0 where a sequence has no such row.
std::vector<float> gather(const Placement& placement, std::span<const float> stored, std::int64_t width);
/// Whether all bytes are 0xff in the rows that belong to no sequence.
bool others_untouched(const Placement& placement, std::span<const std::byte> stored);

}  // namespace sprue::test
