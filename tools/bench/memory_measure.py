"""One case of an operator whose limit is memory: Sprue, PyTorch and torch.compile, checked, then timed in turns."""

import itertools
import math
import sys

import torch

from attention_reference import WrongResult
from timing import interleaved

MOST_SETS = 16
CHECKED = 1 << 25  # elements of an input that float64 is used on; of larger tensors the first rows are compared
SHARE = {torch.float32: 1e-3, torch.float16: 0.125, torch.bfloat16: 1.0}  # of the error that is allowed in bf16


def sets_of(work):
    """So many copies of the tensors that none is in L2 when its turn comes again."""
    enough = 4 * torch.cuda.get_device_properties(0).L2_cache_size
    return max(1, min(MOST_SETS, math.ceil(enough / work.bytes())))


def sprue_call(sprue, work, inputs):
    outputs = {name: torch.full_like(like, math.nan) for name, like in work.outputs.items()}
    given = {name: tensor for name, tensor in inputs.items() if name not in work.hidden}
    launch = sprue.repeatable(work.operator, **outputs, **given, **work.members)

    def call():
        launch()
        return tuple(outputs.values())

    return call


def torch_call(work, function, inputs):
    if not work.leaves:
        return lambda: function(*inputs.values())
    *forward, gradient = inputs
    leaves = {name: inputs[name].detach().requires_grad_(name in work.leaves) for name in forward}
    result = function(*leaves.values())
    wanted = [leaves[name] for name in work.leaves]
    return lambda: torch.autograd.grad(result, wanted, inputs[gradient], retain_graph=True)


def rotating(make, sets):
    """A call that takes the next set of tensors each time."""
    turn = itertools.cycle([make(inputs) for inputs in sets])
    return lambda: next(turn)()


def exact_of(work, inputs):
    return torch_call(work, work.torch, {name: tensor.double() if tensor.is_floating_point() else tensor
                                         for name, tensor in inputs.items()})()


def smaller(work):
    """The inputs' first rows, few enough for float64; sums over rows are then those of these rows."""
    largest = max(work.inputs.values(), key=torch.Tensor.numel)
    if largest.numel() <= CHECKED:
        return work.inputs
    rows = max(1, CHECKED // (largest.numel() // largest.shape[0]))
    return {name: tensor[:rows].contiguous() if tensor.shape == largest.shape or name in work.per_row else tensor
            for name, tensor in work.inputs.items()}


def check(name, work, call, exact):
    """The largest relative error of the outputs."""
    most = work.most_error * SHARE[next(iter(work.inputs.values())).dtype]
    worst = 0.0
    for member, result, truth in zip(work.outputs, call(), exact, strict=True):
        relative = ((result.double() - truth).norm() / truth.norm()).item()
        if not relative <= most:
            raise WrongResult(f"{name}: {member} has a relative error of {relative:.2e}, allowed are {most:.0e}")
        worst = max(worst, relative)
    return worst


def compiled_function(work):
    torch._dynamo.reset()  # so that many shapes do not count as too many recompilations of one function
    return torch.compile(work.torch, dynamic=False)


def measure(sprue, work, rounds, peers):
    """{implementation: {"us", "gb_per_s", "error", "spread"}}"""
    few = smaller(work)
    small = type(work)(**{**vars(work), "inputs": few,
                          "outputs": {name: like[:next(iter(few.values())).shape[0]] if like.dim() > 1 else like
                                      for name, like in work.outputs.items()}})
    exact = exact_of(small, few)
    makers = {"sprue": lambda inputs, of=work: sprue_call(sprue, of, inputs),
              "eager": lambda inputs, of=work: torch_call(of, of.torch, inputs)}
    if "compiled" in peers:
        function = compiled_function(work)
        makers["compiled"] = lambda inputs, of=work: torch_call(of, function, inputs)
    errors, calls = {}, {}
    sets = [work.inputs] + [{name: tensor.clone() for name, tensor in work.inputs.items()}
                            for _ in range(sets_of(work) - 1)]
    for name, make in makers.items():
        if name != "sprue" and name not in peers:
            continue
        try:
            errors[name] = check(name, small, make(few, small), exact)
            calls[name] = rotating(make, sets)
        except WrongResult:
            raise
        except Exception as error:  # torch.compile needs a C compiler and Triton; what it raises without them varies
            if name == "sprue":
                raise
            print(f"  {name} cannot run this: {str(error).splitlines()[0][:90]}", file=sys.stderr)
    timings = interleaved(calls, rounds, graphs=not work.leaves)  # autograd's calls cannot be captured
    return {name: {"us": timing.us, "gb_per_s": work.bytes() / timing.us / 1e3, "error": errors[name],
                   "spread": timing.spread} for name, timing in timings.items()}
