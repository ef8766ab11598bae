#!/usr/bin/env python3
"""Sprue's operators beside PyTorch's on the same tensors, in the same process, in turns.

    python3 tools/bench/compare_pytorch.py --library build/release/src/libsprue.so
    python3 tools/bench/compare_pytorch.py --library build/release/src/libsprue.so --only rms_norm --json figures.json

attention   against scaled_dot_product_attention with its FlashAttention and its cuDNN backend
rms_norm    against torch.nn.functional.rms_norm, as it is and compiled by torch.compile

Every figure is a median of device-event times. The implementations take turns, round by round, so that a clock that
drifts slows all alike. Input is random; results are compared with float64 before anything is timed, and a result of
Sprue's that is wrong ends the program with code 1.
"""

import argparse
import ctypes
import datetime
import json
import math
import statistics
import subprocess
import sys

try:
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError as error:
    sys.exit(f"compare_pytorch.py needs PyTorch with CUDA: {error}")

# ---- Sprue's C API, sprue/sprue.h ----

DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 6),
        ("stride", ctypes.c_int64 * 6),
    ]

    @classmethod
    def of(cls, t):
        pad = [0] * (6 - t.dim())
        return cls(t.data_ptr(), DTYPES[t.dtype], t.dim(), (ctypes.c_int64 * 6)(*t.shape, *pad),
                   (ctypes.c_int64 * 6)(*t.stride(), *pad))


class RmsNormArgs(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("y", Tensor), ("x", Tensor), ("weight", Tensor), ("eps", ctypes.c_float)]


class AttentionArgs(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("out", Tensor), ("q", Tensor), ("k", Tensor), ("v", Tensor),
                ("lse", Tensor), ("causal", ctypes.c_int), ("scale", ctypes.c_float)]


class Sprue:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.sprue_last_error_message.restype = ctypes.c_char_p
        self.library.sprue_version.restype = ctypes.c_char_p
        self.runtime = ctypes.c_void_p()
        self.check(self.library.sprue_runtime_create(None, ctypes.byref(self.runtime)))

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.library.sprue_last_error_message().decode())

    def version(self):
        return self.library.sprue_version().decode()

    def rms_norm(self, y, x, weight, eps):
        """The call with its arguments packed, ready to be repeated."""
        args = RmsNormArgs(ctypes.sizeof(RmsNormArgs), Tensor.of(y), Tensor.of(x), Tensor.of(weight), eps)
        return self.repeatable(self.library.sprue_rms_norm, args)

    def attention(self, out, q, k, v, causal):
        """As above; tensors are [batch, seqlen, heads, head_dim]."""
        args = AttentionArgs(ctypes.sizeof(AttentionArgs), Tensor.of(out), Tensor.of(q), Tensor.of(k), Tensor.of(v),
                             Tensor(), int(causal), 0.0)
        return self.repeatable(self.library.sprue_attention, args)

    def repeatable(self, function, args):
        pointer = ctypes.byref(args)
        return lambda: self.check(function(self.runtime, pointer, ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)))


# ---- Timing ----


def sample_us(call, launches):
    """Microseconds per call; one more call runs ahead, so that the GPU is busy while the host catches up."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    call()
    begin.record()
    for _ in range(launches):
        call()
    end.record()
    end.synchronize()
    return 1000 * begin.elapsed_time(end) / launches


def interleaved_medians_us(calls, rounds):
    """{name: median} of {name: call}; every round times each of them once, after a warm-up."""
    launches = {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        launches[name] = max(2, min(200, math.ceil(3000 / max(1.0, sample_us(call, 2)))))
        sample_us(call, launches[name])
    samples = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(sample_us(call, launches[name]))
    return {name: statistics.median(times) for name, times in samples.items()}


# ---- Correctness ----


def errors(result, reference):
    """Largest absolute and relative root-mean-square difference."""
    difference = result.double() - reference
    return difference.abs().max().item(), (difference.norm() / reference.norm()).item()


def attention_reference(q, k, v, causal):
    """float64; tensors are [seqlen, head_dim]. A thousand queries at a time, to save memory."""
    q, k, v = q.double(), k.double(), v.double()
    seqlen = q.shape[0]
    parts = []
    for start in range(0, seqlen, 1024):
        scores = q[start:start + 1024] @ k.T / math.sqrt(q.shape[1])
        if causal:
            rows = torch.arange(start, start + scores.shape[0], device=q.device)
            scores.masked_fill_(torch.arange(seqlen, device=q.device)[None, :] > rows[:, None], -math.inf)
        parts.append(torch.softmax(scores, dim=1) @ v)
    return torch.cat(parts)


def attention_errors(out, q, k, v, causal):
    """The worst over the first head of the first batch and the last head of the last one."""
    worst = (0.0, 0.0)
    for b, h in ((0, 0), (-1, -1)):
        reference = attention_reference(q[b, :, h], k[b, :, h], v[b, :, h], causal)
        worst = tuple(max(pair) for pair in zip(worst, errors(out[b, :, h], reference)))
    return worst


# ---- Comparisons: each gives rows {name: {"us": ..., "rate": ..., "max_error": ...}} ----


def compare_attention(sprue, case, rounds):
    dtype, head_dim, seqlen, causal = case
    batch, heads = max(1, 16384 // seqlen), 2048 // head_dim
    q, k, v = (torch.randn(batch, seqlen, heads, head_dim, device="cuda", dtype=dtype) for _ in range(3))
    out = torch.full_like(q, math.nan)
    calls = {"sprue": sprue.attention(out, q, k, v, causal)}
    calls["sprue"]()
    results = {"sprue": attention_errors(out, q, k, v, causal)}

    qt, kt, vt = (t.transpose(1, 2) for t in (q, k, v))
    for name, backend in (("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION)):
        def call(backend=backend):
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(qt, kt, vt, is_causal=causal)

        try:
            results[name] = attention_errors(call().transpose(1, 2), q, k, v, causal)
            calls[name] = call
        except RuntimeError as error:
            print(f"  {name} cannot run this: {str(error).splitlines()[0]}", file=sys.stderr)

    pairs = batch * heads * (seqlen * (seqlen + 1) / 2 if causal else seqlen * seqlen)
    medians = interleaved_medians_us(calls, rounds)
    return {name: {"us": us, "rate": 4 * pairs * head_dim / us / 1e6, "max_error": results[name][0],
                   "relative_error": results[name][1]} for name, us in medians.items()}


def compare_rms_norm(sprue, case, rounds):
    dtype, hidden = case
    rows, eps = (1 << 27) // hidden, 1e-6
    x = torch.randn(rows, hidden, device="cuda", dtype=dtype)
    weight = torch.randn(hidden, device="cuda", dtype=dtype)
    y = torch.full_like(x, math.nan)
    calls = {"sprue": sprue.rms_norm(y, x, weight, eps)}
    calls["sprue"]()
    outputs = {"sprue": y}
    calls["eager"] = lambda: F.rms_norm(x, (hidden,), weight, eps)
    outputs["eager"] = calls["eager"]()
    try:
        compiled = torch.compile(lambda a, b: F.rms_norm(a, (hidden,), b, eps), dynamic=False)
        outputs["compiled"] = compiled(x, weight)
        calls["compiled"] = lambda: compiled(x, weight)
    except Exception as error:  # torch.compile needs a C compiler and Triton; what it raises without them varies
        print(f"  torch.compile does not work here: {str(error).splitlines()[0]}", file=sys.stderr)

    some = torch.cat([torch.arange(min(rows, 512)), torch.arange(max(0, rows - 512), rows)]).cuda()
    exact = x[some].double()
    exact = exact / torch.sqrt((exact * exact).mean(1, keepdim=True) + eps) * weight.double()
    results = {name: errors(output[some], exact) for name, output in outputs.items()}
    outputs.clear()

    size = x.element_size() * (2 * x.numel() + hidden)
    medians = interleaved_medians_us(calls, rounds)
    return {name: {"us": us, "rate": size / us / 1e3, "max_error": results[name][0], "relative_error": results[name][1]}
            for name, us in medians.items()}


def copy_ceiling(rounds):
    """GB/s of a copy of 1 GiB, read + written."""
    source = torch.randn(1 << 29, device="cuda", dtype=torch.float16)
    target = torch.empty_like(source)
    us = interleaved_medians_us({"copy": lambda: target.copy_(source)}, rounds)["copy"]
    return 2 * source.numel() * source.element_size() / us / 1e3


# ---- The program ----


def driver_version():
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def attention_cases(args):
    for dtype in args.dtypes:
        for head_dim in args.head_dims:
            for causal in (False, True):
                for seqlen in args.seqlens:
                    yield dtype, head_dim, seqlen, causal


def print_table(title, names, unit, rows):
    print(f"\n{title}, {unit} (max error against float64)")
    print("".join([f"{'':34}"] + [f"{name:>22}" for name in names]))
    for label, row in rows:
        cells = [f"{row[n]['rate']:>11.1f} ({row[n]['max_error']:.1e})" if n in row else "-" for n in names]
        print("".join([f"{label:34}"] + [f"{cell:>22}" for cell in cells]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="libsprue.so")
    parser.add_argument("--only", choices=("attention", "rms_norm"), help="one operator instead of both")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "f16"], choices=("bf16", "f16"))
    parser.add_argument("--head-dims", nargs="+", type=int, default=[64, 128, 256])
    parser.add_argument("--seqlens", nargs="+", type=int, default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--hidden", nargs="+", type=int, default=[1024, 2048, 4096, 8192, 16384, 32768, 65536])
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure (15)")
    parser.add_argument("--json", metavar="FILE", help="also write everything here")
    args = parser.parse_args()
    args.dtypes = [{"bf16": torch.bfloat16, "f16": torch.float16}[name] for name in args.dtypes]
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")

    torch.manual_seed(1)
    torch.cuda.current_stream().synchronize()  # creates the context that Sprue then shares
    sprue = Sprue(args.library)
    report = {
        "device": torch.cuda.get_device_name(),
        "driver": driver_version(),
        "pytorch": torch.__version__,
        "pytorch_cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "sprue": sprue.version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "copy_gb_per_s": copy_ceiling(args.rounds),
        "attention": [],
        "rms_norm": [],
    }
    print(f"{report['device']}, driver {report['driver']}, PyTorch {report['pytorch']} (CUDA {report['pytorch_cuda']}, "
          f"cuDNN {report['cudnn']}), Sprue {report['sprue']}, {report['date']}")
    print(f"copy ceiling {report['copy_gb_per_s']:.0f} GB/s, 1 GiB, read + written")

    wrong = []

    def run(op, label, compare, case, other):
        row = compare(sprue, case, args.rounds)
        report[op].append({"case": label, **row})
        allowed = 2 * row[other]["max_error"] + 1e-5 if other in row else 5e-2
        if not row["sprue"]["max_error"] <= allowed:
            wrong.append(f"{op} {label}: max error {row['sprue']['max_error']:.2e}, allowed {allowed:.2e}")
        torch.cuda.empty_cache()
        return label, row

    if args.only != "rms_norm":
        rows = []
        for case in attention_cases(args):
            dtype, head_dim, seqlen, causal = case
            label = f"{str(dtype)[6:]} d{head_dim} {seqlen} {'causal' if causal else 'full'}"
            rows.append(run("attention", label, compare_attention, case, "flash"))
        print_table("attention", ["sprue", "flash", "cudnn"], "TFLOPS", rows)
    if args.only != "attention":
        rows = []
        for dtype in args.dtypes:
            for hidden in args.hidden:
                label = f"{str(dtype)[6:]} hidden {hidden}"
                rows.append(run("rms_norm", label, compare_rms_norm, (dtype, hidden), "eager"))
        print_table("rms_norm", ["sprue", "eager", "compiled"], "GB/s", rows)
        best = max(row["sprue"]["rate"] for _, row in rows) / report["copy_gb_per_s"]
        print(f"the best of Sprue's is {100 * best:.1f} % of the copy ceiling")

    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
