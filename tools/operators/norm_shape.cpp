#include "operators/norm_shape.h"

#include <fmt/format.h>

namespace sprue::tools {

NormFeatures::NormFeatures(const Shape& shape)
    : row_scale(shape.flag("row_scale")),
      column_scale(shape.flag("column_scale")),
      gate(shape.flag("gate")),
      gate_first(shape.flag("gate_first")),
      weight1(shape.flag("weight1")),
      x_scale(shape.real("x_scale")),
      dropout{.probability = shape.real("dropout"),
              .seed = static_cast<std::uint64_t>(shape.integer("dropout_seed", 0))},
      scale_dtype(shape.dtype("column_scale_dtype")),
      dtype(shape.dtype()) {}

std::string NormFeatures::print() const {
  std::string text;
  if (row_scale) text += ", row scale";
  if (column_scale) text += ", column scale";
  if (x_scale != 1) text += fmt::format(", x scale {}", x_scale);
  if (dropout.probability != 0) text += fmt::format(", dropout {}", dropout.probability);
  if (gate) text += gate_first ? ", gate first" : ", gate";
  if (weight1) text += ", second output";
  return text;
}

std::vector<Key> norm_feature_keys() {
  return {{"row_scale", "false", "Multiply each row of x by a factor"},
          {"column_scale", "false", "Multiply each column of x by a factor"},
          {"column_scale_dtype", "dtype", "f32, f16 or bf16"},
          {"x_scale", "1", "Multiply x by it"},
          {"dropout", "0", "Probability of dropping elements of x and x1"},
          {"dropout_seed", "0", "Of the dropout pattern"},
          {"gate", "false", "Multiply the output by silu of a gate"},
          {"gate_first", "false", "Multiply what is normalised instead"}};
}

std::vector<Input> norm_feature_inputs() {
  return {{"row_scale", "The factors of rows [rows]", Input::Type::f32},
          {"column_scale", "The factors of columns [hidden]", Input::Type::own},
          {"gate", "The gate, of the shape of x"}};
}

NormHost::NormHost(const NormFeatures& features, const Tensors& t, const char* x, std::int64_t rows,
                   std::int64_t hidden) {
  values_.reserve(16);  // so that none of them moves
  const auto values = [&](const char* name) {
    return std::span<const float>(values_.emplace_back(t.values(name)));
  };
  const auto mask = [&](int branch) {
    if (features.dropout.probability == 0) return std::span<const float>();
    return std::span<const float>(
        values_.emplace_back(reference::norm_dropout_mask(features.dropout, rows, hidden, branch)));
  };
  inputs = {.rows = rows,
            .hidden = hidden,
            .x = values(x),
            .residual = values("residual"),
            .weight = values("weight"),
            .bias = values("bias"),
            .row_scale = values("row_scale"),
            .column_scale = values("column_scale"),
            .x_scale = features.x_scale,
            .dropout = features.dropout.probability,
            .mask = mask(0),
            .x1 = values("x1"),
            .mask1 = mask(1),
            .gate = values("gate"),
            .gate_first = features.gate_first,
            .weight1 = values("weight1"),
            .bias1 = values("bias1")};
}

}  // namespace sprue::tools
