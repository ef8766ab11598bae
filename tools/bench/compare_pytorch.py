#!/usr/bin/env python3
"""Sprue's operators beside PyTorch's on the same tensors, in the same process, in turns.

    python3 tools/bench/compare_pytorch.py --library build/release/src/libsprue.so --json figures.json
    python3 tools/bench/compare_pytorch.py --library build/release/src/libsprue.so --only rms_norm rope --dtypes bf16
    python3 tools/bench/compare_pytorch.py --list
    python3 tools/bench/plot.py figures.json

A table per operator: GB/s of Sprue, of PyTorch as it is and of torch.compile, and what share that is of a copy of 1 GiB
in the same run. Every figure is a median of device-event times, see timing.py; tensors rotate so that none stays in L2.
Input is random; results are compared with float64 before anything is timed, and a wrong one ends the program with code
1. Attention is in attention_table.py. Needs PyTorch with CUDA; --list needs only Python.
"""

import argparse
import json
import sys

from memory_sections import SECTIONS, name_of

PEERS = ("eager", "compiled")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--library", help="libsprue.so: measure")
    source.add_argument("--list", action="store_true", help="measure nothing; print the operators and their cases")
    parser.add_argument("--only", nargs="+", default=list(SECTIONS), metavar="OPERATOR", choices=SECTIONS,
                        help="some of the operators that --list prints")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="some of the cases that --list prints")
    parser.add_argument("--dtypes", nargs="+", default=["bf16"], choices=("f32", "f16", "bf16"), help="(bf16)")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, help="(both)")
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure (15)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, after every case")
    return parser.parse_args()


def cases_of(args, operator):
    return [case for case in SECTIONS[operator][1] if args.cases is None or name_of(case) in args.cases]


def copy_ceiling(rounds):
    """GB/s of a copy of 1 GiB, read + written: the faster of the driver's and of an elementwise kernel."""
    import torch
    from timing import interleaved

    source = torch.randn(1 << 29, device="cuda", dtype=torch.float16)
    target = torch.empty_like(source)
    copies = {"driver": lambda: target.copy_(source), "kernel": lambda: torch.neg(source, out=target)}
    us = min(timing.us for timing in interleaved(copies, rounds).values())
    return 2 * source.numel() * source.element_size() / us / 1e3


def table(operator, rows, copy):
    from attention_report import markdown, number

    names = [name for name in ("sprue", *PEERS) if any(name in row for row in rows.values())]

    def cell(row, name):
        if name not in row:
            return ""
        rate = row[name]["gb_per_s"]
        return f"{number(rate, 0)} ({100 * rate / copy:.1f} %)"

    return markdown([f"{operator}, GB/s (of copy)", *names],
                    [[label, *(cell(row, name) for name in names)] for label, row in rows.items()])


def measure_all(args):
    import torch
    from attention_reference import WrongResult
    from attention_report import run_text
    from memory_measure import measure
    from run_info import run_info
    from sprue_ctypes import Sprue

    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    dtypes = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    torch.manual_seed(1)
    torch.cuda.current_stream().synchronize()  # creates the context that Sprue then shares
    sprue = Sprue(args.library)
    run = run_info(sprue)
    copy = copy_ceiling(args.rounds)
    report = {"run": run, "copy_gb_per_s": copy, "operators": {}}
    print(f"{run_text(run)}\ncopy ceiling {copy:.0f} GB/s, 1 GiB, read + written")
    for operator in args.only:
        rows = report["operators"][operator] = {}
        for dtype in args.dtypes:
            for case in cases_of(args, operator):
                label = f"{dtype} {name_of(case)}"
                print(f"  {operator} {label}", file=sys.stderr)
                try:
                    rows[label] = measure(sprue, SECTIONS[operator][0](case, dtypes[dtype]), args.rounds, args.peers)
                except WrongResult as wrong:
                    print(f"WRONG: {operator} {label}: {wrong}", file=sys.stderr)
                    return 1
                torch.cuda.empty_cache()
                if args.json:
                    with open(args.json, "w", encoding="utf-8") as file:
                        json.dump(report, file, indent=1)
        print(f"\n{table(operator, rows, copy)}")
    return 0


def main():
    args = arguments()
    if args.list:
        for operator in args.only:
            print(f"{operator:24}{' '.join(map(name_of, cases_of(args, operator)))}")
        return 0
    try:
        return measure_all(args)
    except ImportError as error:
        sys.exit(f"compare_pytorch.py needs PyTorch with CUDA: {error}")


if __name__ == "__main__":
    sys.exit(main())
