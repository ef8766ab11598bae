// What the kernels of norms are told alike, forward and backward.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ops/check.h"
#include "ops/philox.h"
#include "sprue/ops/dropout.h"

namespace sprue::ops {

/// The members of NormForwardParams or NormBackwardParams that come from members of the same names in the arguments.
template <class Params, class Args, class Views>
void set_common(Params& params, const Args& args, const Views& views) {
  params.weight[0] = args.weight.data;
  params.weight[1] = args.weight1.data;
  params.bias[0] = args.bias.data;
  params.bias[1] = args.bias1.data;
  params.rows = count(args.op, views.shape(), views.shape().rank - 1);
  params.x = args.x.data;
  params.gate = args.gate.data;
  params.row_scale = args.row_scale.data;
  params.column_scale = args.column_scale.data;
  params.mask = args.dropout_mask.data;
  params.mask1 = args.dropout_mask1.data;
  params.x_rows = args.x_rows.data;
  params.y_rows = args.y_rows.data;
  params.eps = args.eps;

  const Dropout& dropout = args.dropout;
  const float kept = 1 - dropout.probability;
  if (dropout.probability != 0) {
    params.dropout_keys = round_keys(dropout.seed);
    params.dropout_offset = dropout.offset;
    params.kept_of_65536 = static_cast<std::uint32_t>(std::max(1L, std::lround(kept * 65536.0)));
  }
  params.x_factor = args.x_scale * (1 / kept);
  params.x1_factor = 1 / kept;
}

}  // namespace sprue::ops
