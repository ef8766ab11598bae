// rope: check → specialise → launch. The kernel is kernel_templates/rope/rope.cu.
#include <cmath>

#include "driver/device.h"
#include "ops/check.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops.h"

namespace sprue {
namespace {

constexpr char kOp[] = "rope";

/// The kernel's one argument, as the template declares it.
struct Rotated {
  void* y;
  const void *x, *cos, *sin, *norm_weight;
  long long y_stride[3], x_stride[3], cos_stride, sin_stride;
  int heads;
};
struct RopeParams {
  Rotated tensors[2];
  const int *offsets, *cu_seqlens;
  long long offset, rows;
  int batch, seqlen, positions;
  float norm_eps;
};

struct Views {
  explicit Views(const Rope& args)
      : y("y", args.y),
        x("x", args.x),
        cos("cos", args.cos),
        sin("sin", args.sin),
        y_k("y_k", args.y_k),
        x_k("x_k", args.x_k),
        cos_k("cos_k", args.cos_k),
        sin_k("sin_k", args.sin_k),
        offsets("offsets", args.offsets),
        cu_seqlens("cu_seqlens", args.cu_seqlens),
        norm_weight("norm_weight", args.norm_weight),
        norm_weight_k("norm_weight_k", args.norm_weight_k) {}
  ops::View y, x, cos, sin, y_k, x_k, cos_k, sin_k, offsets, cu_seqlens, norm_weight, norm_weight_k;
};

/// x and y, or x_k and y_k.
void check_rotated(const ops::View& y, const ops::View& x, int rank, bool with_data) {
  SPRUE_CHECK(kOp, x.extents.rank == rank, "{} must have {} dimensions {}, but has {}", x.name, rank,
              rank == 4 ? "[batch, seqlen, heads, head_dim]" : "[total, heads, head_dim]", x.extents.rank);
  SPRUE_CHECK(kOp, ops::same_shape(y.extents, x.extents), "{} must have the shape of {}, {}, but has {}",
              y.name, x.name, x.extents.print(), y.extents.print());
  SPRUE_CHECK(kOp, y.dtype == x.dtype, "{} must have the dtype of {}, {}, but has {}", y.name, x.name,
              name_of(x.dtype), name_of(y.dtype));
  ops::check_view(kOp, x, {.with_data = with_data});
  ops::check_view(kOp, y, {.output = true, .with_data = with_data});
  ops::check_in_place(kOp, y, x);
}

void check_table(const ops::View& table, const ops::View& x, const ops::View& cos, bool with_data) {
  SPRUE_CHECK(kOp, table.extents.rank == 2,
              "{} must have 2 dimensions [positions, rotary_dim / 2], but has {}", table.name,
              table.extents.rank);
  SPRUE_CHECK(kOp, table.dtype == DType::f32 || table.dtype == x.dtype,
              "{} must have dtype f32 or that of x, {}, but has {}", table.name, name_of(x.dtype),
              name_of(table.dtype));
  SPRUE_CHECK(kOp, ops::same_shape(table.extents, cos.extents) && table.dtype == cos.dtype,
              "{} must have the shape and dtype of cos, {} of {}, but is {} of {}", table.name,
              cos.extents.print(), name_of(cos.dtype), table.extents.print(), name_of(table.dtype));
  const std::int64_t head_dim = x.extent(x.extents.rank - 1);
  SPRUE_CHECK(kOp, table.extent(1) >= 1 && 2 * table.extent(1) <= head_dim,
              "rotary_dim, twice the last extent of {}, must be 2 to head_dim, {}, but is {}", table.name,
              head_dim, 2 * table.extent(1));
  SPRUE_CHECK(kOp, table.extent(0) < (std::int64_t{1} << 31),
              "{} must have less than 2^31 positions, but has {}", table.name, table.extent(0));
  ops::check_view(kOp, table, {.with_data = with_data});
}

void check_indices(const ops::View& view, std::int64_t elements, const char* layout, bool with_data) {
  SPRUE_CHECK(kOp, view.extents.rank == 1, "{} must have 1 dimension {}, but has {}", view.name, layout,
              view.extents.rank);
  SPRUE_CHECK(kOp, view.dtype == DType::i32, "{} must have dtype i32, but has {}", view.name,
              name_of(view.dtype));
  SPRUE_CHECK(kOp, elements < 0 || view.extent(0) == elements,
              "{} must have {} elements, one per sequence, but has {}", view.name, elements, view.extent(0));
  ops::check_view(kOp, view, {.with_data = with_data});
}

void check_norms(const Rope& args, const Views& views, bool with_data) {
  const ops::View &weight = views.norm_weight, &weight_k = views.norm_weight_k;
  SPRUE_CHECK(kOp, weight.given() || !weight_k.given(),
              "norm_weight_k must not be given without norm_weight, but is {}", weight_k.extents.print());
  if (!weight.given()) return;
  SPRUE_CHECK(kOp, !args.conjugate,
              "norm_weight must not be given with conjugate: the norm has no gradient here, but {} are given",
              weight.extents.print());
  SPRUE_CHECK(kOp, views.x_k.given() == weight_k.given(),
              "norm_weight_k must be given with norm_weight exactly where x_k is, but {}",
              weight_k.given() ? "there is no x_k" : "is not");
  SPRUE_CHECK(kOp, std::isfinite(args.norm_eps) && args.norm_eps >= 0,
              "norm_eps must be finite and not negative, but is {}", args.norm_eps);
  const std::int64_t head_dim = views.x.extent(views.x.extents.rank - 1);
  for (const ops::View* view : {&weight, &weight_k}) {
    if (!view->given()) continue;
    SPRUE_CHECK(kOp, view->extents.rank == 1 && view->extent(0) == head_dim,
                "{} must have 1 dimension of {} elements, head_dim, but is {}", view->name, head_dim,
                view->extents.print());
    SPRUE_CHECK(kOp, view->dtype == views.x.dtype, "{} must have the dtype of x, {}, but has {}", view->name,
                name_of(views.x.dtype), name_of(view->dtype));
    ops::check_view(kOp, *view, {.with_data = with_data});
  }
}

void check(const Rope& args, const Views& views, bool with_data) {
  const ops::View &x = views.x, &x_k = views.x_k;
  const bool packed = views.cu_seqlens.given();
  const int rank = packed ? 3 : 4;
  SPRUE_CHECK(kOp, x.dtype == DType::f32 || x.dtype == DType::f16 || x.dtype == DType::bf16,
              "x must have dtype f32, f16 or bf16, but has {}", name_of(x.dtype));
  check_rotated(views.y, x, rank, with_data);
  const std::int64_t head_dim = x.extent(rank - 1);
  SPRUE_CHECK(kOp, head_dim >= 2 && head_dim <= 512,
              "head_dim, the last extent of x, must be 2 to 512, but is {}", head_dim);
  for (int i = 0; i + 1 < rank; ++i) {
    SPRUE_CHECK(kOp, x.extent(i) < (std::int64_t{1} << 31), "x must have extents below 2^31, but is {}",
                x.extents.print());
  }
  check_table(views.cos, x, views.cos, with_data);
  check_table(views.sin, x, views.cos, with_data);
  if (packed) check_indices(views.cu_seqlens, -1, "[batch + 1]", with_data);
  SPRUE_CHECK(kOp, !packed || views.cu_seqlens.extent(0) >= 1,
              "cu_seqlens must have at least 1 element, but has {}", views.cu_seqlens.extent(0));
  const std::int64_t batch = packed ? views.cu_seqlens.extent(0) - 1 : x.extent(0);
  if (views.offsets.given()) check_indices(views.offsets, batch, "[batch]", with_data);
  if (x_k.given()) {
    check_rotated(views.y_k, x_k, rank, with_data);
    SPRUE_CHECK(kOp, x_k.dtype == x.dtype, "x_k must have the dtype of x, {}, but has {}", name_of(x.dtype),
                name_of(x_k.dtype));
    for (int i = 0; i < rank; ++i) {
      if (i == rank - 2) continue;
      SPRUE_CHECK(kOp, x_k.extent(i) == x.extent(i),
                  "x_k must have the shape of x but for its heads, {}, but has {}", x.extents.print(),
                  x_k.extents.print());
    }
    ops::check_apart(kOp, views.y_k, views.y);
    ops::check_apart(kOp, views.y_k, x);
    ops::check_apart(kOp, views.y, x_k);
  }
  for (const ops::View* table : {&views.cos_k, &views.sin_k}) {
    if (!table->given()) continue;
    SPRUE_CHECK(kOp, x_k.given(), "{} must not be given without x_k, but is {}", table->name,
                table->extents.print());
    check_table(*table, x, views.cos, with_data);
  }
  SPRUE_CHECK(kOp, views.cos_k.given() == views.sin_k.given(),
              "cos_k and sin_k must be given together, but only {} is",
              views.cos_k.given() ? "cos_k" : "sin_k");
  check_norms(args, views, with_data);
  for (const ops::View* output : {&views.y, &views.y_k}) {
    for (const ops::View* input : {&views.cos, &views.sin, &views.cos_k, &views.sin_k, &views.offsets,
                                   &views.cu_seqlens, &views.norm_weight, &views.norm_weight_k}) {
      ops::check_apart(kOp, *output, *input);
    }
  }
}

Rotated rotated(const Tensor& y, const ConstTensor& x, const ConstTensor& cos, const ConstTensor& sin,
                const ConstTensor& norm_weight) {
  Rotated result{y.data,
                 x.data,
                 cos.data,
                 sin.data,
                 norm_weight.data,
                 {},
                 {},
                 cos.extents.stride[0],
                 sin.extents.stride[0],
                 0};
  if (x.extents.rank == 0) return result;
  const int missing = 4 - x.extents.rank;
  for (int i = missing; i < 3; ++i) {
    result.y_stride[i] = y.extents.stride[i - missing];
    result.x_stride[i] = x.extents.stride[i - missing];
  }
  result.heads = static_cast<int>(x.extents.shape[x.extents.rank - 2]);
  return result;
}

RopeParams parameters(const Rope& args) {
  const Extents& x = args.x.extents;
  const bool packed = ops::given(args.cu_seqlens);
  const bool own_tables = ops::given(args.cos_k);
  RopeParams params{.tensors = {rotated(args.y, args.x, args.cos, args.sin, args.norm_weight),
                                rotated(args.y_k, args.x_k, own_tables ? args.cos_k : args.cos,
                                        own_tables ? args.sin_k : args.sin, args.norm_weight_k)},
                    .offsets = static_cast<const int*>(args.offsets.data),
                    .cu_seqlens = static_cast<const int*>(args.cu_seqlens.data),
                    .offset = args.offset,
                    .rows = 0,
                    .batch = static_cast<int>(packed ? args.cu_seqlens.extents.shape[0] - 1 : x.shape[0]),
                    .seqlen = static_cast<int>(packed ? x.shape[0] : x.shape[1]),
                    .positions = static_cast<int>(args.cos.extents.shape[0]),
                    .norm_eps = args.norm_eps};
  params.rows = ops::count(kOp, x, x.rank - 2) * (params.tensors[0].heads + params.tensors[1].heads);
  return params;
}

/// What the kernel is specialised for.
struct Problem {
  DType scalar, table;
  std::int64_t head_dim, rotary_dim, vec;
  bool interleaved, conjugate, varlen, norm;

  KernelKey key(int device) const {
    const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
    return {kernel_id(kOp),
            device,
            {at(head_dim, 0) | at(rotary_dim, 16) | at(vec, 32), at(scalar, 0) | at(table, 8) |
                                                                     at(interleaved, 16) | at(conjugate, 17) |
                                                                     at(varlen, 18) | at(norm, 19)}};
  }
  Request request() const {
    return {kOp,
            {{"SCALAR", std::string(name_of(scalar))},
             {"TABLE", std::string(name_of(table))},
             {"HEAD_DIM", head_dim},
             {"ROTARY_DIM", rotary_dim},
             {"INTERLEAVED", interleaved},
             {"CONJUGATE", conjugate},
             {"VARLEN", varlen},
             {"NORM", norm},
             {"VEC", vec}}};
  }
};

Problem specialise(const Rope& args, const Views& views) {
  const std::int64_t head_dim = views.x.extent(views.x.extents.rank - 1), half = views.cos.extent(1);
  const std::int64_t aligned =
      ops::element_alignment(views.x, views.y, views.x_k, views.y_k, views.cos, views.sin, views.cos_k,
                             views.sin_k, views.norm_weight, views.norm_weight_k);
  const std::int64_t most = views.x.dtype == DType::f32 ? 4 : 8;
  return {.scalar = views.x.dtype,
          .table = views.cos.dtype,
          .head_dim = head_dim,
          .rotary_dim = 2 * half,
          .vec = std::min({most, aligned, head_dim & -head_dim, half & -half}),
          .interleaved = args.interleaved,
          .conjugate = args.conjugate,
          .varlen = views.cu_seqlens.given(),
          .norm = views.norm_weight.given()};
}

}  // namespace

void rope(Runtime& runtime, const Rope& args, Stream stream) {
  const Views views(args);
  check(args, views, true);
  const RopeParams params = parameters(args);
  if (params.rows == 0 || params.batch == 0) return;
  const Problem problem = specialise(args, views);

  RuntimeImpl& impl = runtime.impl();
  const LoadedKernel& kernel =
      impl.kernel(problem.key(driver::current_device()), stream, [&] { return problem.request(); });
  impl.launch(kernel, ops::grid_size(kOp, params.rows, kernel.launch.rows_per_block, 1), stream, &params);
}

KernelInfo prepare(Runtime& runtime, const Rope& args) {
  const Views views(args);
  check(args, views, false);
  const Problem problem = specialise(args, views);
  return runtime.impl().prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
