// The arguments of rms_norm and layer_norm as views, and what must hold of them.
#pragma once

#include "ops/check.h"
#include "ops/norm_forward.h"

namespace sprue {

struct NormForwardViews {
  explicit NormForwardViews(const NormForward& args);
  NormForwardViews(const NormForwardViews&) = delete;
  NormForwardViews& operator=(const NormForwardViews&) = delete;

  ops::View y, y1, x, x1, weight, weight1, bias, bias1, residual, residual_out, row_scale, column_scale,
      dropout_mask, dropout_mask1, gate, y_scale, y1_scale, y_row_scale, y1_row_scale, x_rows, y_rows;

  std::int64_t hidden() const { return x.extents.shape[static_cast<std::size_t>(x.extents.rank - 1)]; }
  bool quantised() const { return y.dtype == DType::e4m3 || y.dtype == DType::i8; }

  /// [..., hidden] of z.
  const Extents& shape() const { return x_rows.given() ? numbered_ : x.extents; }

 private:
  Extents numbered_;  // x_rows' and hidden, if rows of x are numbered
};

void check(const NormForward& args, const NormForwardViews& views, bool with_data);

}  // namespace sprue
