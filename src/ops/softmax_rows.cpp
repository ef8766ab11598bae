#include "ops/softmax_rows.h"

#include <bit>
#include <cmath>

namespace sprue::ops {
namespace {

constexpr std::int64_t kMostColumns = 1 << 24;

}  // namespace

void check_softmax_rows(const char* op, const View& view, bool causal, bool with_data) {
  SPRUE_CHECK(op, view.extents.rank >= 1, "{} must have 1 to {} dimensions [..., columns], but is not given",
              view.name, kMaxRank);
  const std::int64_t columns = view.extent(view.extents.rank - 1);
  SPRUE_CHECK(op, columns >= 1 && columns <= kMostColumns,
              "columns, the last extent of {}, must be 1 to {}, but is {}", view.name, kMostColumns, columns);
  SPRUE_CHECK(op, is_float(view.dtype), "{} must have dtype f32, f16 or bf16, but has {}", view.name,
              name_of(view.dtype));
  SPRUE_CHECK(op, !causal || view.extents.rank >= 2,
              "causal must not be set without queries, the dimension in front of the last one, but {} is {}",
              view.name, view.extents.print());
  SPRUE_CHECK(op, !causal || view.extent(view.extents.rank - 2) < std::int64_t{1} << 31,
              "queries must be less than 2^31 if causal, but {} is {}", view.name, view.extents.print());
  check_view(op, view, {.with_data = with_data});
}

void check_softmax_like(const char* op, const View& view, const View& of, const ViewRules& rules) {
  SPRUE_CHECK(op, same_shape(view.extents, of.extents), "{} must have the shape of {}, {}, but has {}",
              view.name, of.name, of.extents.print(), view.extents.print());
  SPRUE_CHECK(op, view.dtype == of.dtype, "{} must have the dtype of {}, {}, but has {}", view.name, of.name,
              name_of(of.dtype), name_of(view.dtype));
  check_view(op, view, rules);
}

void check_softmax_scale(const char* op, float scale) {
  SPRUE_CHECK(op, std::isfinite(scale), "scale must be finite, but is {}", scale);
}

KernelKey SoftmaxProblem::key(std::uint32_t kernel, int device) const {
  const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
  return {kernel,
          device,
          {at(most_columns, 0) | at(alignment, 32) | at(row_dims, 40),
           at(scalar, 0) | at(has_mask, 8) | at(causal, 9)}};
}

Request SoftmaxProblem::request(const char* kernel) const {
  Request request{kernel,
                  {{"SCALAR", std::string(name_of(scalar))},
                   {"MOST_COLUMNS", most_columns},
                   {"CAUSAL", causal},
                   {"ALIGNMENT", alignment},
                   {"ROW_DIMS", std::int64_t{row_dims}}}};
  if (has_mask) request.problem.merge(Values{{"HAS_MASK", true}});
  return request;
}

std::int64_t most_columns(std::int64_t columns) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(columns)));
}

std::int64_t softmax_alignment(std::int64_t of_views, std::int64_t columns) {
  return std::int64_t{1} << std::countr_zero(static_cast<std::uint64_t>(of_views | columns));
}

int queries_of(const View& view) {
  const int rank = view.extents.rank;
  return rank >= 2 ? static_cast<int>(view.extent(rank - 2)) : 1;
}

}  // namespace sprue::ops
