#include "ops/activation_problem.h"

#include <algorithm>
#include <bit>

namespace sprue::ops {
namespace {

constexpr const char* kFunctions[] = {"identity", "relu", "squared_relu", "leaky_relu",
                                      "sigmoid",  "silu", "gelu",         "gelu_tanh"};

}  // namespace

void check_activation_rows(const char* op, const View& view, bool with_data) {
  SPRUE_CHECK(op, view.extents.rank >= 1, "{} must have 1 to {} dimensions [..., columns], but is not given",
              view.name, kMaxRank);
  SPRUE_CHECK(op, is_float(view.dtype), "{} must have dtype f32, f16 or bf16, but has {}", view.name,
              name_of(view.dtype));
  check_view(op, view, {.with_data = with_data});
}

void check_activation_like(const char* op, const View& view, const View& of, const ViewRules& rules) {
  SPRUE_CHECK(op, same_shape(view.extents, of.extents), "{} must have the shape of {}, {}, but has {}",
              view.name, of.name, of.extents.print(), view.extents.print());
  SPRUE_CHECK(op, view.dtype == of.dtype, "{} must have the dtype of {}, {}, but has {}", view.name, of.name,
              name_of(of.dtype), name_of(view.dtype));
  check_view(op, view, rules);
}

void check_activation_bias(const char* op, const View& bias, const View& rows, const ViewRules& rules) {
  if (!bias.given()) return;
  const std::int64_t columns = rows.extent(rows.extents.rank - 1);
  SPRUE_CHECK(op, bias.extents.rank == 1 && bias.extent(0) == columns,
              "{} must be [{}], the last extent of {}, but is {}", bias.name, columns, rows.name,
              bias.extents.print());
  SPRUE_CHECK(op, is_float(bias.dtype), "{} must have dtype f32, f16 or bf16, but has {}", bias.name,
              name_of(bias.dtype));
  check_view(op, bias, rules);
}

void check_bias_pair(const char* op, const View& bias, const View& gate_bias, bool gated) {
  SPRUE_CHECK(op, gated || !gate_bias.given(), "{} must not be given without a gate, but is {}",
              gate_bias.name, gate_bias.extents.print());
  SPRUE_CHECK(op, !bias.given() || !gate_bias.given() || bias.dtype == gate_bias.dtype,
              "{} must have the dtype of {}, {}, but has {}", gate_bias.name, bias.name, name_of(bias.dtype),
              name_of(gate_bias.dtype));
}

void check_in_place(const char* op, const View& output, const View& input) {
  SPRUE_CHECK(op, apart(output, input) || same_view(output, input),
              "{} must be {} itself or not overlap it, but they share memory as different views", output.name,
              input.name);
}

KernelKey ActivationProblem::key(std::uint32_t kernel, int device) const {
  const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
  return {kernel,
          device,
          {at(most_columns, 0) | at(alignment, 32) | at(row_dims, 40),
           at(scalar, 0) | at(bias_type, 8) | at(function, 16) | at(gated, 24) | at(has_bias, 25) |
               at(has_dbias, 26) | at(has_dgate_bias, 27)}};
}

Request ActivationProblem::request(const char* kernel) const {
  Request request{kernel,
                  {{"SCALAR", std::string(name_of(scalar))},
                   {"BIAS", std::string(has_bias ? name_of(bias_type) : "none")},
                   {"FUNCTION", std::string(kFunctions[static_cast<std::size_t>(function)])},
                   {"GATED", gated},
                   {"MOST_COLUMNS", most_columns},
                   {"ALIGNMENT", alignment},
                   {"ROW_DIMS", std::int64_t{row_dims}}}};
  if (has_dbias) request.problem.merge(Values{{"HAS_DBIAS", true}});
  if (has_dgate_bias) request.problem.merge(Values{{"HAS_DGATE_BIAS", true}});
  return request;
}

std::int64_t activation_columns(std::int64_t columns) {
  return static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(std::clamp<std::int64_t>(columns, 1, 1024))));
}

std::int64_t activation_alignment(std::int64_t of_views, std::int64_t columns) {
  return std::int64_t{1} << std::countr_zero(static_cast<std::uint64_t>(of_views | columns));
}

std::int64_t activation_tiles(const ActivationProblem& problem, const LaunchShape& launch,
                              std::int64_t columns) {
  const std::size_t widest =
      std::max(size_of(problem.scalar), problem.has_bias ? size_of(problem.bias_type) : 1);
  const std::int64_t vector =
      std::min({problem.alignment, static_cast<std::int64_t>(16 / widest), problem.most_columns});
  const std::int64_t per_tile = vector * launch.keys_per_tile;
  return columns / per_tile + (columns % per_tile != 0);
}

}  // namespace sprue::ops
