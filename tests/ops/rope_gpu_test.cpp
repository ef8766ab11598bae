// rope on the GPU against double precision: layouts, dtypes, positions, both halves and neighbours, keys
// beside queries.
#include <fmt/format.h>

#include <numeric>
#include <optional>

#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "reference/rope.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

struct RopeCase {
  std::int64_t batch = 2, seqlen = 17, heads = 3, heads_k = 0, head_dim = 64, rotary_dim = 64;
  DType dtype = DType::bf16, table = DType::f32;
  bool interleaved = false, conjugate = false, in_place = false, norm = false, xpos = false;
  std::int64_t offset = 0;
  std::vector<std::int64_t> offsets = {};  ///< [batch]
  std::vector<std::int64_t> lengths = {};  ///< [batch]: packed
  Layout layout = {};
  std::int64_t positions = 100;  ///< Of the tables.

  std::string print() const {
    return fmt::format(
        "batch {}, seqlen {}, heads {} + {}, head_dim {}, rotary_dim {}, {}, tables {}{}{}{}{}{}, offset "
        "{}, {} offsets, {} lengths",
        batch, seqlen, heads, heads_k, head_dim, rotary_dim, name_of(dtype), name_of(table),
        interleaved ? ", interleaved" : "", conjugate ? ", conjugate" : "", in_place ? ", in place" : "",
        norm ? ", norm" : "", xpos ? ", tables of their own" : "", offset, offsets.size(), lengths.size());
  }
};

std::vector<std::int64_t> positions_of(const RopeCase& c) {
  std::vector<std::int64_t> positions;
  for (std::int64_t b = 0; b < c.batch; ++b) {
    const auto at = static_cast<std::size_t>(b);
    const std::int64_t length = c.lengths.empty() ? c.seqlen : c.lengths[at];
    for (std::int64_t i = 0; i < length; ++i)
      positions.push_back(c.offset + (c.offsets.empty() ? 0 : c.offsets[at]) + i);
  }
  return positions;
}

std::string fault_of(Runtime& runtime, const RopeCase& c) {
  const bool packed = !c.lengths.empty();
  const std::vector<std::int64_t> positions = positions_of(c);
  const auto tokens = static_cast<std::int64_t>(positions.size());
  const auto shape = [&](std::int64_t heads) {
    return packed ? std::vector<std::int64_t>{tokens, heads, c.head_dim}
                  : std::vector<std::int64_t>{c.batch, c.seqlen, heads, c.head_dim};
  };
  const std::int64_t half = c.rotary_dim / 2, table_elements = c.positions * half;
  const auto input = [&](const std::vector<float>& values, DType dtype,
                         const std::vector<std::int64_t>& shape, const Layout& layout = {}) {
    DeviceTensor tensor(dtype, shape, layout);
    tensor.write(values);
    return tensor;
  };
  const auto indices = [](const std::vector<std::int64_t>& values) {
    return std::vector<float>(values.begin(), values.end());
  };
  const auto cos = reference::random_normal(table_elements, 1, c.table),
             sin = reference::random_normal(table_elements, 2, c.table),
             cos_k = reference::random_normal(table_elements, 3, c.table),
             sin_k = reference::random_normal(table_elements, 4, c.table),
             weight = reference::random_normal(c.head_dim, 5, c.dtype),
             weight_k = reference::random_normal(c.head_dim, 6, c.dtype),
             x = reference::random_normal(tokens * c.heads * c.head_dim, 7, c.dtype),
             x_k = reference::random_normal(tokens * c.heads_k * c.head_dim, 8, c.dtype);
  Layout layout = c.layout;
  if (packed) layout.order.clear();
  const DeviceTensor dx = input(x, c.dtype, shape(c.heads), layout),
                     dcos = input(cos, c.table, {c.positions, half}),
                     dsin = input(sin, c.table, {c.positions, half}),
                     dcos_k = input(cos_k, c.table, {c.positions, half}),
                     dsin_k = input(sin_k, c.table, {c.positions, half}),
                     dw = input(weight, c.dtype, {c.head_dim}), dw_k = input(weight_k, c.dtype, {c.head_dim});
  const DeviceTensor y(c.dtype, shape(c.heads), c.in_place ? layout : Layout{});
  const DeviceTensor dx_k = input(x_k, c.dtype, shape(c.heads_k)), y_k(c.dtype, shape(c.heads_k));
  std::optional<DeviceTensor> offsets, cu_seqlens;

  Rope args{.y = c.in_place ? dx.tensor() : y.tensor(),
            .x = dx.tensor(),
            .cos = dcos.tensor(),
            .sin = dsin.tensor()};
  args.interleaved = c.interleaved;
  args.conjugate = c.conjugate;
  args.offset = c.offset;
  if (c.heads_k > 0) {
    args.x_k = dx_k.tensor();
    args.y_k = c.in_place ? dx_k.tensor() : y_k.tensor();
    if (c.xpos) args.cos_k = dcos_k.tensor(), args.sin_k = dsin_k.tensor();
    if (c.norm) args.norm_weight_k = dw_k.tensor();
  }
  if (c.norm) args.norm_weight = dw.tensor();
  if (!c.offsets.empty())
    args.offsets = offsets.emplace(input(indices(c.offsets), DType::i32, {c.batch})).tensor();
  if (packed) {
    std::vector<std::int64_t> starts = {0};
    for (const std::int64_t length : c.lengths) starts.push_back(starts.back() + length);
    args.cu_seqlens = cu_seqlens.emplace(input(indices(starts), DType::i32, {c.batch + 1})).tensor();
  }
  rope(runtime, args);
  driver::synchronize_device();

  const auto compare = [&](const DeviceTensor& result, std::int64_t heads, const std::vector<float>& values,
                           const std::vector<float>& c_table, const std::vector<float>& s_table,
                           const std::vector<float>& norm) -> std::string {
    if (heads == 0) return "";
    const reference::RopeInputs in{
        .heads = heads,
        .head_dim = c.head_dim,
        .rotary_dim = c.rotary_dim,
        .x = values,
        .positions = positions,
        .cos = c_table,
        .sin = s_table,
        .norm_weight = c.norm ? std::span<const float>(norm) : std::span<const float>(),
        .interleaved = c.interleaved,
        .conjugate = c.conjugate};
    const auto comparison =
        reference::compare(result.read(), reference::rope(in), reference::naive_rope(in, c.dtype));
    if (!result.intact()) return "something was written outside; ";
    return comparison.passed() ? "" : comparison.print() + "; ";
  };
  return compare(c.in_place ? dx : y, c.heads, x, cos, sin, weight) +
         compare(c.in_place ? dx_k : y_k, c.heads_k, x_k, c.xpos ? cos_k : cos, c.xpos ? sin_k : sin,
                 weight_k);
}

void check_all(const std::vector<RopeCase>& cases) {
  std::vector<std::string> faults(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    try {
      faults[i] = fault_of(shared_runtime(), cases[i]);
    } catch (const std::exception& error) {
      faults[i] = error.what();
    }
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    CHECK(faults[i] == "");
  }
}

}  // namespace

TEST_CASE("rope: head dimensions, dtypes, halves and neighbours", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<RopeCase> cases;
  for (const auto& [head_dim, rotary_dim] : {std::pair{2, 2},
                                             {5, 4},
                                             {10, 6},
                                             {64, 64},
                                             {128, 64},
                                             {96, 96},
                                             {80, 32},
                                             {128, 128},
                                             {256, 256},
                                             {512, 100}}) {
    for (const DType dtype : {DType::bf16, DType::f16, DType::f32}) {
      RopeCase c{.head_dim = head_dim, .rotary_dim = rotary_dim, .dtype = dtype};
      c.interleaved = cases.size() % 2 == 0;
      c.conjugate = cases.size() % 3 == 0;
      c.table = cases.size() % 4 < 2 ? DType::f32 : dtype;
      c.in_place = cases.size() % 5 == 0;
      c.heads_k = static_cast<std::int64_t>(cases.size() % 3);
      cases.push_back(c);
    }
  }
  check_all(cases);
}

TEST_CASE("rope: positions", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all({{.offset = 50},
             {.offset = 90},  // the last rows are beyond the tables
             {.offset = -5},
             {.offset = 3, .offsets = {7, 80}},
             {.batch = 4, .heads_k = 2, .lengths = {5, 0, 31, 1}},
             {.batch = 3, .offset = 1, .offsets = {4, 60, 0}, .lengths = {5, 30, 11}},
             {.batch = 1, .lengths = {9}},
             {.batch = 0},
             {.seqlen = 0}});
}

TEST_CASE("rope: norms, tables of the keys' own, strides", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(
      {{.heads_k = 1, .head_dim = 128, .rotary_dim = 128, .norm = true},
       {.heads_k = 2, .head_dim = 128, .rotary_dim = 32, .interleaved = true, .in_place = true, .norm = true},
       {.heads_k = 2, .xpos = true},
       {.dtype = DType::f32, .norm = true},
       {.in_place = true, .layout = {.order = {0, 2, 1, 3}}},
       {.layout = {.padding = 8}},
       {.layout = {.padding = 3}},
       {.layout = {.padding = 1, .offset = 1}}});
}

}  // namespace sprue::test
