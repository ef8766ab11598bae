"""Sprue's C API for the scripts beside this file, which need no more than libsprue.so and this checkout.

The structs are read from sprue/sprue.h and the headers in sprue/c, so members are set by the names that they have there; one that is not set is
0, its default.
"""

import ctypes
import pathlib
import re

import torch

HEADERS = pathlib.Path(__file__).resolve().parents[2] / "src/include/sprue"
DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2, torch.int32: 3, torch.int64: 6}
WINDOW_LEFT, WINDOW_RIGHT = 1, 2  # sprue_windows
C_TYPES = {"int": ctypes.c_int, "size_t": ctypes.c_size_t, "float": ctypes.c_float, "double": ctypes.c_double,
           "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
           "uint64_t": ctypes.c_uint64}


def structs(header):
    """{name: class} of the plain structs of a C header: those that hold numbers, pointers, arrays and each other."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    sizes = dict(re.findall(r"#define (\w+) (\d+)\s", text))
    types = dict(C_TYPES)
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text, flags=re.DOTALL):
        if "(" in body:  # functions: the options of a runtime
            continue
        fields = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            kind, members = re.fullmatch(r"(?:const )?(\w+[ *]*)\s(.+)", declaration, flags=re.DOTALL).groups()
            kind = ctypes.c_void_p if "*" in kind else types[kind.strip()]
            for member in members.split(","):
                member, size = re.fullmatch(r"\s*(\w+)(?:\[(\w+)\])?\s*", member).groups()
                fields.append((member, kind * int(sizes.get(size, size)) if size else kind))
        types[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return {name: kind for name, kind in types.items() if name not in C_TYPES}


def arguments(header):
    """{operator: name of its struct}: {"rms_norm_backward": "sprue_norm_backward_args"}."""
    return dict(re.findall(r"int sprue_(\w+)\(sprue_runtime\* runtime,\s*const (\w+_args)\* args", header))


# Alphabetically, a header follows those whose structs it uses.
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in (HEADERS / "sprue.h", *sorted((HEADERS / "c").glob("*.h"))))
STRUCTS, ARGUMENTS = structs(TEXT), arguments(TEXT)


def view(t):
    """The sprue_tensor of a PyTorch tensor."""
    result = STRUCTS["sprue_tensor"](data=t.data_ptr(), dtype=DTYPES[t.dtype], rank=t.dim())
    result.shape[:t.dim()] = t.shape
    result.stride[:t.dim()] = t.stride()
    return result


class Sprue:
    """A runtime. Calls go to PyTorch's current stream, so they can be captured into its graphs."""

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

    def arguments(self, operator, **members):
        """The operator's struct. The tensors must outlive it."""
        if operator not in ARGUMENTS:
            raise RuntimeError(f"the headers in {HEADERS} have no sprue_{operator}")
        args = STRUCTS[ARGUMENTS[operator]]()
        args.struct_size = ctypes.sizeof(args)
        for name, value in members.items():
            if name not in dict(args._fields_):
                raise RuntimeError(f"{ARGUMENTS[operator]} has no member {name}")
            setattr(args, name, view(value) if isinstance(value, torch.Tensor) else value)
        return args

    def repeatable(self, operator, **members):
        """`operator` with its arguments packed: a function without arguments that launches it."""
        args = self.arguments(operator, **members)
        function = getattr(self.library, f"sprue_{operator}")

        def call(args=args, tensors=members):  # both live as long as the call
            self.check(function(self.runtime, ctypes.byref(args),
                                ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)))

        return call
