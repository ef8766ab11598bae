// The arguments of rms_norm_backward and layer_norm_backward as views, and what must hold of them.
#pragma once

#include "ops/check.h"
#include "ops/norm_backward.h"

namespace sprue {

struct NormBackwardViews {
  explicit NormBackwardViews(const NormBackward& args);

  ops::View dx, dx1, dy, dy1, z, weight, weight1, bias, bias1, dweight, dweight1, dbias, dbias1,
      dresidual_out, dresidual, x, row_scale, column_scale, dcolumn_scale, dropout_mask, dropout_mask1, gate,
      dgate, x_rows, y_rows;

  std::int64_t hidden() const { return dy.extents.shape[static_cast<std::size_t>(dy.extents.rank - 1)]; }
  /// [..., hidden] of z.
  const Extents& shape() const { return y_rows.given() ? z.extents : dy.extents; }
};

void check(const NormBackward& args, const NormBackwardViews& views, bool with_data);

}  // namespace sprue
