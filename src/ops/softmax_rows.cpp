#include "ops/softmax_rows.h"

#include <cmath>

#include "driver/device.h"
#include "ops/row_check.h"
#include "ops/rows.h"

namespace sprue::ops {

void check_softmax(const char* op, const View& view, bool causal, float scale, bool with_data) {
  check_rows(op, view, with_data, {"columns", 1, 1 << 24});
  SPRUE_CHECK(op, !causal || view.extents.rank >= 2,
              "causal must not be set without queries, the dimension in front of the last one, but {} is {}",
              view.name, view.extents.print());
  SPRUE_CHECK(op, !causal || view.extent(view.extents.rank - 2) < std::int64_t{1} << 31,
              "queries must be less than 2^31 if causal, but {} is {}", view.name, view.extents.print());
  constexpr float kMostScale = 1e38f;  // its product with log2(e) is finite
  SPRUE_CHECK(op, std::abs(scale) <= kMostScale, "scale must be -1e38 to 1e38, but is {}", scale);
}

int queries_of(const View& view) {
  const int rank = view.extents.rank;
  return rank >= 2 ? static_cast<int>(view.extent(rank - 2)) : 1;
}

void SoftmaxProblem::launch(const char* op, RuntimeImpl& impl, std::int64_t rows, const void* params,
                            Stream stream) const {
  const LoadedKernel& loaded = impl.kernel(key(), stream, [&] { return request(); });
  const LaunchShape& launch = loaded.launch;
  if (launch.walks) rows = walking_groups(rows, loaded.groups_at_once);
  impl.launch(loaded, grid_size(op, rows, launch.rows_per_block, launch.blocks_per_row), stream, params);
}

KernelInfo SoftmaxProblem::prepare(RuntimeImpl& impl) const {
  return impl.prepare(key(), request());
}

KernelKey SoftmaxProblem::key() const {
  const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
  return {id,
          driver::current_device(),
          {at(most_columns, 0) | at(alignment, 32) | at(row_dims, 40),
           at(scalar, 0) | at(has_mask, 8) | at(causal, 9)}};
}

Request SoftmaxProblem::request() const {
  Request request{kernel,
                  {{"SCALAR", std::string(name_of(scalar))},
                   {"MOST_COLUMNS", most_columns},
                   {"CAUSAL", causal},
                   {"ALIGNMENT", alignment},
                   {"ROW_DIMS", std::int64_t{row_dims}}}};
  if (has_mask) request.problem.merge(Values{{"HAS_MASK", true}});
  return request;
}

}  // namespace sprue::ops
