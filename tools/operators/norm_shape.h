// What the keys of norms say of what comes before and after the norm, forward and backward alike.
#pragma once

#include <string>
#include <vector>

#include "operators/operator.h"
#include "reference/norm.h"
#include "sprue/ops.h"

namespace sprue::tools {

struct NormFeatures {
  explicit NormFeatures(const Shape& shape);

  bool row_scale, column_scale, gate, gate_first, weight1;
  float x_scale;
  Dropout dropout;
  DType scale_dtype, dtype;

  /// ", dropout 0.1, gate first"
  std::string print() const;
  /// Whether z is something else than x, even if there is neither a residual nor x1.
  bool change_x() const { return row_scale || column_scale || x_scale != 1 || dropout.probability != 0; }

  /// Makes the tensors.
  template <class Args>
  void add(Args& args, Tensors& t, std::int64_t rows, std::int64_t hidden) const {
    if (row_scale) args.row_scale = t.input("row_scale", DType::f32, {rows});
    if (column_scale) args.column_scale = t.input("column_scale", scale_dtype, {hidden});
    args.x_scale = x_scale;
    args.dropout = dropout;
    if (gate) args.gate = t.input("gate", dtype, {rows, hidden});
    args.gate_first = gate_first;
  }
};

/// Of the features.
std::vector<Key> norm_feature_keys();
std::vector<Input> norm_feature_inputs();

/// The tensors of a call as the reference wants them; lives as long as `inputs`.
struct NormHost {
  NormHost(const NormFeatures& features, const Tensors& t, const char* x, std::int64_t rows,
           std::int64_t hidden);
  NormHost(const NormHost&) = delete;
  NormHost& operator=(const NormHost&) = delete;

  reference::NormInputs inputs;

 private:
  std::vector<std::vector<float>> values_;
};

}  // namespace sprue::tools
