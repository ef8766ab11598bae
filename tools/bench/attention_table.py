#!/usr/bin/env python3
"""Attention forward beside its peers, in one process and in turns: tables, and JSON for plot.py.

    python3 tools/bench/attention_table.py --library build/release/src/libsprue.so --json all.json
    python3 tools/bench/attention_table.py --library ... --only table --cells 'd128-*' '*-causal-16k' --json some.json
    python3 tools/bench/attention_table.py --library ... --cells 'd128-*-4k' --peers portable cudnn flash flex
    python3 tools/bench/attention_table.py --merge some.json others.json --json all.json

table     head dimensions 64, 96, 128, 192/128, 256; full and causal; 512 to 16384 keys; 16384 queries, 2048 columns
grouped   32 query heads on 8, 16 on 8 at 256, causal, 300 to 16384 keys; 16384 queries
varlen    packed sequences of lognormal lengths, grouped queries, beside sequences of one length
features  softcap, ALiBi, sinks, dropout and a window, beside the plain kernel
short     problems of microseconds

The peers: Sprue's portable kernel; cuDNN and FlashAttention-2 through scaled_dot_product_attention; FlexAttention
through torch.compile, only when --peers names it, since it compiles for seconds per cell. A peer that cannot run a
cell is left out of it. Figures of different runs are not comparable, so --merge takes a cell whole from the last file
that has it. TFLOPS are 2 * batch * heads * seqlen^2 * (head_dim + head_dim_v) per time, half for a causal mask. Input
is random bf16; every result is compared with float64 before anything is timed, and a wrong one ends the program with
code 1. Needs PyTorch with CUDA; --merge needs only Python.
"""

import argparse
import fnmatch
import json
import sys
import time
import warnings

import attention_report


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--library", help="libsprue.so: measure")
    source.add_argument("--merge", nargs="+", metavar="FILE", help="measure nothing; print these files as one")
    source.add_argument("--list", action="store_true", help="measure nothing; print the names of the cells")
    parser.add_argument("--only", nargs="+", default=list(attention_report.SECTIONS), metavar="SECTION",
                        choices=attention_report.SECTIONS, help="table, grouped, varlen, features, short (all)")
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="PATTERN", help="cells whose name matches one")
    parser.add_argument("--peers", nargs="*", default=["portable", "cudnn", "flash"], metavar="PEER",
                        choices=attention_report.IMPLEMENTATIONS[1:],
                        help="portable, cudnn, flash, flex (all but flex)")
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure (15)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no cell after these; name the rest")
    parser.add_argument("--no-graphs", action="store_true", help="launch call by call instead of replaying CUDA graphs")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, after every cell")
    return parser.parse_args()


def matching_cells(args, sprue):
    """(section, name, build) of what --only and --cells name."""
    from attention_sections import SECTIONS

    for section in args.only:
        for name, build in SECTIONS[section](sprue, args.peers):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in args.cells):
                yield section, name, build


def measure_all(args, report):
    """Fills the report. A wrong result ends it with 1; a cell that Sprue cannot run makes it 1 in the end."""
    import torch
    from attention_measure import measure
    from attention_reference import WrongResult
    from run_info import run_info
    from sprue_ctypes import Sprue

    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    warnings.filterwarnings("ignore", category=UserWarning)  # why other backends than the one asked for do not run
    torch.manual_seed(1)
    torch.cuda.current_stream().synchronize()  # creates the context that Sprue then shares
    sprue = Sprue(args.library)
    run = attention_report.add_run(report, run_info(sprue))
    begin, left, status = time.monotonic(), [], 0
    for section, name, build in matching_cells(args, sprue):
        if time.monotonic() - begin > args.seconds:
            left.append(name)
            continue
        print(f"{time.monotonic() - begin:6.1f} s  {name}", file=sys.stderr)
        try:
            report[section][name] = {"run": run, **measure(build(), args.rounds, not args.no_graphs)}
        except WrongResult as error:
            print(f"WRONG: {section} {name}: {error}", file=sys.stderr)
            return 1
        except RuntimeError as error:
            print(f"FAILED: {section} {name}: {error}", file=sys.stderr)
            status = 1
        torch.cuda.empty_cache()
        write(args.json, report)
    if left:
        print(f"no time was left for {', '.join(left)}", file=sys.stderr)
    return status


def write(path, report):
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    args = arguments()
    if args.list:
        try:
            for section, name, _ in matching_cells(args, None):
                print(f"{section:10}{name}")
        except ImportError as error:
            sys.exit(f"attention_table.py --list needs PyTorch: {error}")
        return 0
    report, status = attention_report.empty_report(), 0
    if args.merge:
        try:
            report = attention_report.merge([read(path) for path in args.merge])
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"attention_table.py: {error}")
        write(args.json, report)
    else:
        try:
            status = measure_all(args, report)
        except ImportError as error:
            sys.exit(f"attention_table.py needs PyTorch with CUDA: {error}")
    print(attention_report.text(report))
    return status


if __name__ == "__main__":
    sys.exit(main())
