"""Attention calls of one problem, checked and then timed in turns."""

import dataclasses
import sys
from collections.abc import Callable

import torch

import attention_calls
from attention_reference import WrongResult, check, heads_of
from timing import interleaved


@dataclasses.dataclass
class Entry:
    make: Callable  # returns the call, which returns out
    heads: Callable  # of out: what attention_reference.check compares
    flops: float
    peer: bool = False  # may refuse the problem
    dropout: float = 0.0
    tiles: int = 0  # that hold a visible pair, per head; where it matters


def entries_of(sprue, problem, peers):
    """{implementation: Entry} of Sprue and the named peers on the same random tensors."""
    tensors = problem.tensors()
    return {name: Entry(make, lambda out: heads_of(out, *tensors, causal=problem.causal), problem.flops(),
                        peer=name not in ("sprue", "portable"))
            for name, make in attention_calls.calls(sprue, problem, tensors, peers).items()}


def ready_calls(entries):
    """({implementation: call}, {implementation: error}) of those that run here; each has run once and was right."""
    calls, found = {}, {}
    for name, entry in entries.items():
        try:
            call = entry.make()
            out = call()
            torch.cuda.synchronize()
        except RuntimeError as error:
            if not entry.peer:
                raise RuntimeError(f"{name}: {error}") from error
            print(f"  {name} cannot run this: {str(error).splitlines()[0][:90]}", file=sys.stderr)
            continue
        try:
            found[name] = check(out, entry.heads(out), entry.dropout)
        except WrongResult as error:
            raise WrongResult(f"{name}: {error}") from error
        calls[name] = call
    return calls, found


def measure(entries, rounds, graphs=True):
    """The row that attention_report.py describes, but for the run. Raises WrongResult, and RuntimeError where Sprue
    cannot run."""
    calls, found = ready_calls(entries)
    timings = interleaved(calls, rounds, graphs)
    row = {"us": {name: timing.us for name, timing in timings.items()},
           "flops": {name: entries[name].flops for name in calls},
           "spread": {name: timing.spread for name, timing in timings.items()},
           "error": found,
           "graph": {name: timing.graph for name, timing in timings.items()}}
    tiles = {name: entries[name].tiles for name in calls if entries[name].tiles}
    return row | ({"tiles": tiles} if tiles else {})
