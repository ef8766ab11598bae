#include "ops/activation_problem.h"

#include <algorithm>

#include "ops/rows.h"

namespace sprue::ops {
namespace {

constexpr const char* kFunctions[] = {"identity", "relu", "squared_relu", "leaky_relu",
                                      "sigmoid",  "silu", "gelu",         "gelu_tanh"};

}  // namespace

void check_bias_pair(const char* op, const View& bias, const View& gate_bias, bool gated) {
  SPRUE_CHECK(op, gated || !gate_bias.given(), "{} must not be given without a gate, but is {}",
              gate_bias.name, gate_bias.extents.print());
  SPRUE_CHECK(op, !bias.given() || !gate_bias.given() || bias.dtype == gate_bias.dtype,
              "{} must have the dtype of {}, {}, but has {}", gate_bias.name, bias.name, name_of(bias.dtype),
              name_of(gate_bias.dtype));
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
  return most_columns(std::clamp<std::int64_t>(columns, 1, 1024));
}

std::int64_t activation_tiles(const ActivationProblem& problem, const LaunchShape& launch,
                              std::int64_t columns) {
  const std::size_t widest =
      std::max(size_of(problem.scalar), problem.has_bias ? size_of(problem.bias_type) : 1);
  const std::int64_t vector =
      std::min({problem.alignment, static_cast<std::int64_t>(16 / widest), problem.most_columns});
  const std::int64_t per_tile = vector * launch.columns_per_tile;
  return columns / per_tile + (columns % per_tile != 0);
}

}  // namespace sprue::ops
