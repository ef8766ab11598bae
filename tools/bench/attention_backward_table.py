#!/usr/bin/env python3
"""The gradients of attention beside those of its peers, in one process and in turns.

    python3 tools/bench/attention_backward_table.py --library build/release/src/libsprue.so --json backward.json
    python3 tools/bench/attention_backward_table.py --library ... --cells 'd128-*' '*-causal-8k'
    python3 tools/bench/attention_backward_table.py --list

Head dimensions 64, 96, 128 and 256; full and causal; 512 to 16384 keys; 16384 queries, 2048 columns; bf16. The peers:
cuDNN and FlashAttention-2 through the backward pass of scaled_dot_product_attention. Sprue and FlashAttention-2 are
measured deterministic too, all launched call by call: autograd's calls cannot be captured. TFLOPS are 2.5 times those
of the forward pass per time of the backward one alone. The gradients of one head are compared with float64 before
anything is timed, and a wrong one ends the program with code 1. Needs PyTorch with CUDA; --list needs only Python.
"""

import argparse
import fnmatch
import json
import math
import sys

HEAD_DIMS = (64, 96, 128, 256)
SEQLENS = (512, 1024, 2048, 4096, 8192, 16384)
NAMES = ("sprue", "sprue deterministic", "cudnn", "flash", "flash deterministic")
MOST_ERROR = 2e-2  # relative, in the Frobenius norm; probabilities and their gradients are rounded to bf16


def cells():
    """(name, head_dim, seqlen, causal)"""
    for head_dim in HEAD_DIMS:
        for causal in (False, True):
            for seqlen in SEQLENS:
                size = f"{seqlen // 1024}k" if seqlen >= 1024 else str(seqlen)
                yield f"d{head_dim}-{'causal' if causal else 'full'}-{size}", head_dim, seqlen, causal


def exact_gradients(q, k, v, dout, causal):
    """dq, dk, dv of the first sequence's first head, [seqlen, head_dim], in float64."""
    import torch

    q, k, v, dout = (t[0, :, 0].double() for t in (q, k, v, dout))
    scale = 1 / math.sqrt(q.shape[1])
    scores = scale * q @ k.T
    if causal:
        scores.masked_fill_(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
    p = scores.softmax(-1)
    del scores
    dp = dout @ v.T
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return scale * ds @ k, scale * ds.T @ q, p.T @ dout


def sprue_call(sprue, q, k, v, dout, causal, deterministic):
    import ctypes

    import torch

    out = torch.empty_like(q)
    lse = torch.empty(q.shape[0], q.shape[2], q.shape[1], device=q.device)
    members = {"out": out, "q": q, "k": k, "v": v, "lse": lse, "causal": int(causal)}
    sprue.repeatable("attention", **members)()
    forward = sprue.arguments("attention", **members)
    gradients = {name: torch.full_like(t, math.nan) for name, t in (("dq", q), ("dk", k), ("dv", v))}
    args = sprue.arguments("attention_backward", forward=ctypes.addressof(forward), dout=dout, **gradients,
                           deterministic=int(deterministic))
    size = ctypes.c_size_t()
    sprue.check(sprue.library.sprue_attention_backward_workspace_bytes(sprue.runtime, ctypes.byref(args),
                                                                       ctypes.byref(size)))
    workspace = torch.empty(max(1, size.value), device=q.device, dtype=torch.uint8)
    launch = sprue.repeatable("attention_backward", forward=ctypes.addressof(forward), dout=dout, **gradients,
                              deterministic=int(deterministic), workspace=workspace.data_ptr(),
                              workspace_bytes=size.value)

    def call(forward=forward, keep=(members, workspace)):
        launch()
        return tuple(gradients.values())

    return call


def sdpa_call(backend, q, k, v, dout, causal, deterministic=False):
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import sdpa_kernel

    leaves = [t.detach().requires_grad_() for t in (q, k, v)]
    with sdpa_kernel(backend):
        out = F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in leaves), is_causal=causal).transpose(1, 2)

    def call():
        torch.use_deterministic_algorithms(deterministic)
        try:
            return torch.autograd.grad(out, leaves, dout, retain_graph=True)
        finally:
            torch.use_deterministic_algorithms(False)

    return call


def makers(sprue, tensors):
    from torch.nn.attention import SDPBackend

    cudnn, flash = SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION
    return {"sprue": lambda: sprue_call(sprue, *tensors, False),
            "sprue deterministic": lambda: sprue_call(sprue, *tensors, True),
            "cudnn": lambda: sdpa_call(cudnn, *tensors),
            "flash": lambda: sdpa_call(flash, *tensors),
            "flash deterministic": lambda: sdpa_call(flash, *tensors, True)}


def measure(sprue, head_dim, seqlen, causal, names, rounds):
    """{implementation: {"us", "tflops", "error", "spread"}}"""
    import torch
    from attention_calls import square
    from attention_reference import WrongResult
    from timing import interleaved

    problem = square(head_dim, head_dim, seqlen, causal)
    q, k, v = problem.tensors()
    dout = torch.randn_like(q)
    exact = exact_gradients(q, k, v, dout, causal)
    calls, errors = {}, {}
    for name, make in makers(sprue, (q, k, v, dout, causal)).items():
        if name not in names:
            continue
        try:
            call = make()
            found = [gradient[0, :, 0].double() for gradient in call()]
        except RuntimeError as error:
            if name.startswith("sprue"):
                raise RuntimeError(f"{name}: {error}") from error
            print(f"  {name} cannot run this: {str(error).splitlines()[0][:90]}", file=sys.stderr)
            continue
        relative = [((got - truth).norm() / truth.norm()).item() for got, truth in zip(found, exact, strict=True)]
        if not all(r <= MOST_ERROR for r in relative):
            raise WrongResult(f"{name}: dq, dk, dv have relative errors of {relative}, allowed are {MOST_ERROR}")
        calls[name], errors[name] = call, max(relative)
    return {name: {"us": timing.us, "tflops": 2.5 * problem.flops() / timing.us / 1e6, "error": errors[name],
                   "spread": timing.spread} for name, timing in interleaved(calls, rounds, graphs=False).items()}


def table(rows):
    from attention_report import markdown, number

    names = [name for name in NAMES if any(name in row for row in rows.values())]
    return markdown(["attention_backward, TFLOPS", *names],
                    [[cell, *(number(row[name]["tflops"], 0) if name in row else "" for name in names)]
                     for cell, row in rows.items()])


def measure_all(args):
    import torch
    from attention_reference import WrongResult
    from attention_report import run_text
    from run_info import run_info
    from sprue_ctypes import Sprue

    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    torch.manual_seed(1)
    torch.cuda.current_stream().synchronize()  # creates the context that Sprue then shares
    sprue = Sprue(args.library)
    report, status = {"run": run_info(sprue), "attention_backward": {}}, 0
    print(run_text(report["run"]))
    for name, head_dim, seqlen, causal in chosen(args):
        print(f"  {name}", file=sys.stderr)
        try:
            report["attention_backward"][name] = measure(sprue, head_dim, seqlen, causal, args.names, args.rounds)
        except WrongResult as wrong:
            print(f"WRONG: {name}: {wrong}", file=sys.stderr)
            return 1
        except RuntimeError as error:
            print(f"FAILED: {name}: {error}", file=sys.stderr)
            status = 1
        torch.cuda.empty_cache()
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(report, file, indent=1)
    print(f"\n{table(report['attention_backward'])}")
    return status


def chosen(args):
    return [cell for cell in cells() if any(fnmatch.fnmatchcase(cell[0], pattern) for pattern in args.cells)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--library", help="libsprue.so: measure")
    source.add_argument("--list", action="store_true", help="measure nothing; print the names of the cells")
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="PATTERN", help="cells whose name matches one")
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=NAMES, help="implementations (all)")
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure (15)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, after every cell")
    args = parser.parse_args()
    if args.list:
        print("\n".join(cell[0] for cell in chosen(args)))
        return 0
    try:
        return measure_all(args)
    except ImportError as error:
        sys.exit(f"attention_backward_table.py needs PyTorch with CUDA: {error}")


if __name__ == "__main__":
    sys.exit(main())
