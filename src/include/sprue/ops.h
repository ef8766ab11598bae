// The operators. Arguments are given by name; tensors are views of device memory; calls are asynchronous.
//
//   sprue::rms_norm(runtime, {.y = y, .x = x, .weight = w}, stream);
//
// Every operator has a prepare() overload that renders, compiles and loads its kernel for the current device
// without launching it: do that before CUDA-graph capture, where a kernel that is not loaded is a
// CaptureError. Tensors may have null data there: shapes and strides choose the kernel, and memory that is
// still to come counts as 16-byte aligned.
//
// Errors: ArgumentError (fix the call), CompileError, CudaError, NotPrewarmedError, CaptureError, all
// described in sprue/error.h.
#pragma once

#include "sprue/ops/activation.h"
#include "sprue/ops/attention.h"
#include "sprue/ops/attention_backward.h"
#include "sprue/ops/cross_entropy.h"
#include "sprue/ops/norm.h"
#include "sprue/ops/rope.h"
#include "sprue/ops/softmax.h"
