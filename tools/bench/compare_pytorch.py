#!/usr/bin/env python3
"""Sprue's operators beside PyTorch's on the same tensors, in the same process, in turns.

    python3 tools/bench/compare_pytorch.py --library build/release/src/libsprue.so
    python3 tools/bench/compare_pytorch.py --library build/release/src/libsprue.so --only rms_norm --json figures.json

attention   against scaled_dot_product_attention with its FlashAttention and cuDNN backends; attention_table.py has more
rms_norm    against torch.nn.functional.rms_norm, as it is and compiled by torch.compile

Every figure is a median of device-event times, see timing.py. Input is random; results are compared with float64 before
anything is timed, and a result that is wrong ends the program with code 1.
"""

import argparse
import json
import math
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"compare_pytorch.py needs PyTorch with CUDA: {error}")
from attention_calls import square
from attention_measure import entries_of, measure
from attention_reference import WrongResult
from attention_report import markdown, number, run_text
from run_info import run_info
from sprue_ctypes import Sprue
from timing import interleaved

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16}
MOST_RMS_NORM_ERROR = {"bf16": 4e-3, "f16": 5e-4}  # relative; two roundings give 0.0024 and 0.0003

# A row is {implementation: {"us": ..., "rate": ..., "error": ...}}.


def compare_attention(sprue, args):
    """(label, row) of every case, in TFLOPS."""
    for dtype in args.dtypes:
        for head_dim in args.head_dims:
            for causal in (False, True):
                for seqlen in args.seqlens:
                    problem = square(head_dim, head_dim, seqlen, causal, DTYPES[dtype])
                    found = measure(entries_of(sprue, problem, ("flash", "cudnn")), args.rounds)
                    yield (f"{dtype} d{head_dim} {seqlen} {'causal' if causal else 'full'}",
                           {name: {"us": us, "rate": problem.flops() / us / 1e6, "error": found["error"][name]}
                            for name, us in found["us"].items()})


def compare_rms_norm(sprue, args):
    """(label, row) of every case, in GB/s."""
    for dtype in args.dtypes:
        for hidden in args.hidden:
            yield f"{dtype} hidden {hidden}", rms_norm_row(sprue, dtype, hidden, args.rounds)


def rms_norm_row(sprue, dtype_name, hidden, rounds):
    dtype, most = DTYPES[dtype_name], MOST_RMS_NORM_ERROR[dtype_name]
    rows, eps = (1 << 27) // hidden, 1e-6
    x = torch.randn(rows, hidden, device="cuda", dtype=dtype)
    weight = torch.randn(hidden, device="cuda", dtype=dtype)
    y = torch.full_like(x, math.nan)
    calls = {"sprue": sprue.repeatable("rms_norm", y=y, x=x, weight=weight, eps=eps)}
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
    error = {name: ((output[some].double() - exact).norm() / exact.norm()).item() for name, output in outputs.items()}
    for name, relative in error.items():
        if not (relative <= most and outputs[name].isfinite().all()):
            raise WrongResult(f"{name}: hidden {hidden}: relative error {relative:.2e}, allowed {most:.0e}; "
                              f"{outputs[name].isfinite().sum().item()} elements of {x.numel()} are finite")
    outputs.clear()
    size = x.element_size() * (2 * x.numel() + hidden)
    return {name: {"us": timing.us, "rate": size / timing.us / 1e3, "error": error[name]}
            for name, timing in interleaved(calls, rounds).items()}


def copy_ceiling(rounds):
    """GB/s of a copy of 1 GiB, read + written."""
    source = torch.randn(1 << 29, device="cuda", dtype=torch.float16)
    target = torch.empty_like(source)
    us = interleaved({"copy": lambda: target.copy_(source)}, rounds)["copy"].us
    return 2 * source.numel() * source.element_size() / us / 1e3


def table(operator, unit, names, rows):
    header = [f"{operator}, {unit} (relative error)", *names]
    return markdown(header, [[label, *(f"{number(row[n]['rate'], 1)} ({row[n]['error']:.1e})" if n in row else ""
                                       for n in names)] for label, row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="libsprue.so")
    parser.add_argument("--only", choices=("attention", "rms_norm"), help="one operator instead of both")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "f16"], choices=DTYPES)
    parser.add_argument("--head-dims", nargs="+", type=int, default=[64, 128, 256])
    parser.add_argument("--seqlens", nargs="+", type=int, default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--hidden", nargs="+", type=int, default=[1024, 2048, 4096, 8192, 16384, 32768, 65536])
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure (15)")
    parser.add_argument("--json", metavar="FILE", help="also write everything here")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")

    torch.manual_seed(1)
    torch.cuda.current_stream().synchronize()  # creates the context that Sprue then shares
    sprue = Sprue(args.library)
    report = run_info(sprue) | {"copy_gb_per_s": copy_ceiling(args.rounds)}
    print(run_text(report))
    print(f"copy ceiling {report['copy_gb_per_s']:.0f} GB/s, 1 GiB, read + written")

    comparisons = {"attention": (compare_attention, "TFLOPS", ["sprue", "flash", "cudnn"]),
                   "rms_norm": (compare_rms_norm, "GB/s", ["sprue", "eager", "compiled"])}
    for operator, (compare, unit, names) in comparisons.items():
        if args.only not in (None, operator):
            continue
        rows = []
        try:
            for label, row in compare(sprue, args):
                rows.append((label, row))
                torch.cuda.empty_cache()
        except WrongResult as wrong:
            print(f"WRONG: {operator}, after {len(rows)} cases: {wrong}", file=sys.stderr)
            return 1
        print(f"\n{table(operator, unit, names, rows)}")
        report[operator] = [{"case": label, **row} for label, row in rows]
        if operator == "rms_norm":
            best = max(row["sprue"]["rate"] for _, row in rows) / report["copy_gb_per_s"]
            print(f"\nthe best of Sprue's is {100 * best:.1f} % of the copy ceiling")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
