"""How long GPU work takes: medians of device-event times of implementations that take turns.

A clock that drifts, or a power limit, then slows all alike; figures of different runs are not comparable. Each
implementation's launches are recorded in a CUDA graph and replayed, so that what a launch costs on the host does not
count. Input is the caller's: random, and the results checked.
"""

import dataclasses
import math
import random
import statistics
import sys

import torch

SAMPLE_US = 10000  # one sample, about; a single call may take longer
MOST_LAUNCHES = 200  # in one graph


@dataclasses.dataclass(frozen=True)
class Timing:
    us: float  # of one call: the median over the rounds
    spread: float  # the interquartile range, as a share of the median
    graph: bool  # replayed; otherwise launched call by call, and the host may have been the slower


def event_us(work):
    """Microseconds between the events around what `work` queues."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return 1000 * begin.elapsed_time(end)


def record(call, launches):
    """A CUDA graph of `launches` calls; None if the call cannot be captured."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            for _ in range(launches):
                call()
        graph.replay()
        torch.cuda.synchronize()
    except RuntimeError as error:
        print(f"  not captured, so timed by launches: {str(error).splitlines()[0][:90]}", file=sys.stderr)
        torch.cuda.set_stream(stream)  # which a capture that fails does not put back
        torch.cuda.synchronize()
        return None
    return graph


class Sampler:
    """One implementation, warmed up and ready to be timed."""

    def __init__(self, call, graphs):
        for _ in range(3):
            call()
        estimate = event_us(lambda: [call() for _ in range(3)]) / 3
        self.call = call
        self.launches = max(1, min(MOST_LAUNCHES, math.ceil(SAMPLE_US / max(1.0, estimate))))
        self.graph = record(call, self.launches) if graphs else None
        self.replays = 1
        self.replays = max(1, round(SAMPLE_US / (self.sample_us() * self.launches)))

    def sample_us(self):
        """Microseconds per call. One more runs ahead, so that the GPU is busy while the host catches up."""
        self.call()
        return event_us(self.replay) / (self.launches * self.replays)

    def replay(self):
        for _ in range(self.replays):
            if self.graph:
                self.graph.replay()
            else:
                for _ in range(self.launches):
                    self.call()


def interleaved(calls, rounds, graphs=True):
    """{name: Timing} of {name: call}; every round times each of them once, in an order drawn anew."""
    samplers = {name: Sampler(call, graphs) for name, call in calls.items()}
    samples = {name: [] for name in calls}
    order = list(calls)
    shuffle = random.Random(1).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            samples[name].append(samplers[name].sample_us())
    return {name: Timing(statistics.median(times), spread(times), samplers[name].graph is not None)
            for name, times in samples.items()}


def spread(times):
    if len(times) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(times, n=4)
    return (high - low) / middle
