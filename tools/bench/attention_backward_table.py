#!/usr/bin/env python3
"""The gradients of attention beside those of its peers, in one process and in turns.

    python3 tools/bench/attention_backward_table.py --library build/release/src/libsprue.so --json backward.json
    python3 tools/bench/attention_backward_table.py --library ... --cells 'd128-*' 'features-*' --names sprue cudnn
    python3 tools/bench/attention_backward_table.py --list

The table: head dimensions 64, 96, 128, 192/128 and 256; full and causal; 512 to 16384 keys; 16384 queries, 2048 columns;
bf16. Then heads that share keys, packed sequences, and features beside the plain kernel. The peers: cuDNN and
FlashAttention-2 through PyTorch. All are launched call by call: autograd's calls cannot be captured. TFLOPS are 2.5 times
those of the forward pass per time of the backward one alone. The gradients of the first keys' heads are compared with
float64 before anything is timed, and a wrong one ends the program with code 1. Needs PyTorch with CUDA; --list needs
only Python.
"""

import argparse
import fnmatch
import json
import sys

from attention_backward_sections import SECTIONS

MOST_ERROR = 2e-2  # relative, in the Frobenius norm; probabilities and their gradients are rounded to bf16


def ready(name, entry):
    """(call, error) of an implementation that ran once and was right; None of a peer that cannot."""
    from attention_reference import WrongResult

    try:
        call = entry.make()
        found = call()
    except RuntimeError as error:
        if not entry.peer:
            raise RuntimeError(f"{name}: {error}") from error
        print(f"  {name} cannot run this: {str(error).splitlines()[0][:90]}", file=sys.stderr)
        return None
    if not all(gradient.isfinite().all() for gradient in found):
        raise WrongResult(f"{name}: not all gradients are finite")
    if entry.exact is None:
        return call, None
    relative = [((got.double() - truth).norm() / truth.norm()).item()
                for got, truth in zip(entry.parts(found), entry.exact(), strict=True)]
    if not all(r <= MOST_ERROR for r in relative):
        raise WrongResult(f"{name}: dq, dk, dv have relative errors of {relative}, allowed are {MOST_ERROR}")
    return call, max(relative)


def measure(entries, rounds):
    """{implementation: {"us", "tflops", "error", "spread"}, "tiles" where they matter}"""
    from timing import interleaved

    found = {name: ready(name, entry) for name, entry in entries.items()}
    calls = {name: result[0] for name, result in found.items() if result}
    rows = {}
    for name, timing in interleaved(calls, rounds, graphs=False).items():
        rows[name] = {"us": timing.us, "tflops": entries[name].flops / timing.us / 1e6, "error": found[name][1],
                      "spread": timing.spread}
        if entries[name].tiles:
            rows[name]["tiles"] = entries[name].tiles
    return rows


def print_rows(section, rows):
    """One table where the cells have the same implementations; else one per cell."""
    from attention_report import markdown, number

    if section == "table":
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        print("\n" + markdown(["attention_backward, TFLOPS", *names],
                              [[cell, *(number(row[name]["tflops"], 0) if name in row else "" for name in names)]
                               for cell, row in rows.items()]))
        return
    for cell, row in rows.items():
        print("\n" + markdown([cell, "us", "TFLOPS"],
                              [[name, number(figures["us"], 0), number(figures["tflops"], 0)]
                               for name, figures in row.items()]))


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
    report, status = {"run": run_info(sprue)}, 0
    print(run_text(report["run"]))
    for section, name, build in chosen(args, sprue):
        print(f"  {name}", file=sys.stderr)
        try:
            entries = {key: entry for key, entry in build().items()
                       if section != "table" or args.names is None or key in args.names}
            report.setdefault(section, {})[name] = measure(entries, args.rounds)
            del entries
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
    for section in SECTIONS:
        if section in report:
            print_rows(section, report[section])
    return status


def chosen(args, sprue=None):
    return [(section, name, build) for section, cells in SECTIONS.items() for name, build in cells(sprue)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in args.cells)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--library", help="libsprue.so: measure")
    source.add_argument("--list", action="store_true", help="measure nothing; print the names of the cells")
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="PATTERN", help="cells whose name matches one")
    parser.add_argument("--names", nargs="+", metavar="NAME",
                        help="some of the table's implementations, such as sprue and cudnn (all)")
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure (15)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, after every cell")
    args = parser.parse_args()
    if args.list:
        print("\n".join(name for _, name, _ in chosen(args)))
        return 0
    try:
        return measure_all(args)
    except ImportError as error:
        sys.exit(f"attention_backward_table.py needs PyTorch with CUDA: {error}")


if __name__ == "__main__":
    sys.exit(main())
