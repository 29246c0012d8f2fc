"""Samples of PyTorch's operators, as PyTorch tests them itself, and programs made of them.

`op_db` and `module_db` come with PyTorch: for each operator and dtype a list of calls that its authors thought of. A
`Case` is one of those lists; `program()` turns some of its calls into one module, whose inputs are the tensors of the
calls, and whose outputs are all tensors that they give. One program of many calls costs one export instead of many.
"""

import dataclasses
import functools
import hashlib
import logging
import pathlib
import sys
import types
import unittest
import warnings

warnings.simplefilter("ignore")

# PyTorch's lists come in a package for its own tests, which wants this one; nothing here calls it.
sys.modules.setdefault("expecttest", types.ModuleType("expecttest")).TestCase = unittest.TestCase

import torch  # noqa: E402
from torch.utils import _pytree as pytree  # noqa: E402

torch.set_num_threads(1)
logging.getLogger("torch").setLevel(logging.ERROR)

DTYPES = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
# How many calls of a case belong to the fixed subset, spread evenly over the list.
SUBSET = {"float32": 10, "int64": 5, "bool": 3}
# To be raised where Program makes other modules of the same calls.
PROGRAMS = 2
# What draws numbers, or leaves memory as it finds it: only dtypes and sizes can be compared.
UNDEFINED = {
    "bernoulli", "empty", "empty_like", "empty_permuted", "empty_strided", "multinomial", "new_empty",
    "new_empty_strided", "normal", "normal.in_place", "normal.number_mean", "rand_like", "randint", "randint_like",
    "randn", "randn_like", "uniform", "cauchy", "exponential", "geometric", "log_normal", "randperm",
    "torch.ops.aten._efficient_attention_forward", "torch.ops.aten._flash_attention_forward",
}
# Its calls are no operators of PyTorch but Python functions that make some.
NO_OPERATORS = ("ops.nvprims", "_refs")


@dataclasses.dataclass
class Call:
    index: int  # in the list of the case
    function: object
    leaves: list  # of (arguments, keywords), tensors among them
    tree: object
    text: str  # "f32[5, 5], dim=0"

    @property
    def tensors(self):
        return [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]

    @property
    def dims(self):
        """The dim of topk, sort and their like: the last whole number among their arguments that is a dimension."""
        args, kwargs = pytree.tree_unflatten(self.leaves, self.tree)
        if "dim" in kwargs:
            return [kwargs["dim"]]
        place = 2 if self.takes_count else 1
        return [args[place]] if len(args) > place and not isinstance(args[place], bool) else []

    @property
    def takes_count(self):
        return getattr(self.function, "__name__", "") in ("topk", "kthvalue")

    def __call__(self, tensors):
        remaining = iter(tensors)
        leaves = [next(remaining) if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self.tree)
        return [leaf for leaf in pytree.tree_leaves(self.function(*args, **kwargs)) if isinstance(leaf, torch.Tensor)]


def describe(value):
    if isinstance(value, torch.Tensor):
        short = str(value.dtype).removeprefix("torch.").replace("float", "f").replace("int", "i").replace("bool", "b8")
        return f"{short}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(describe, value)) + "]"
    return repr(value)


def make_call(index, function, args, kwargs):
    leaves, tree = pytree.tree_flatten((tuple(args), dict(kwargs)))
    text = ", ".join([describe(arg) for arg in args] + [f"{name}={describe(arg)}" for name, arg in kwargs.items()])
    return Call(index, function, leaves, tree, text)


@dataclasses.dataclass
class Case:
    """The calls of one operator or module with one dtype."""

    name: str  # "nn.functional.conv2d", "module.Conv2d"
    dtype: str
    source: object

    @functools.cached_property
    def calls(self):
        # The same numbers in every run, whatever ran before.
        torch.manual_seed(int(hashlib.sha256(f"{self.name}/{self.dtype}".encode()).hexdigest()[:8], 16))
        return list(self.source(DTYPES[self.dtype]))

    @property
    def subset(self):
        """The numbers of the calls in the fixed subset."""
        count, wanted = len(self.calls), SUBSET[self.dtype]
        if count <= wanted:
            return list(range(count))
        return sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})

    def is_undefined(self, call):
        drops = "dropout" in self.name and "backward" not in self.name and "training=False" not in call.text
        return self.name in UNDEFINED or drops


def samples(op, dtype):
    found = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    if op.name == "meshgrid":  # PyTorch takes both indexings from a set, whose order is another one in every process
        pairs = [found[at:at + 2] for at in range(0, len(found), 2)]
        found = [one for pair in pairs for one in sorted(pair, key=lambda one: one.kwargs["indexing"])]
    return found


def operator_calls(op, dtype):
    for index, sample in enumerate(samples(op, dtype)):
        yield make_call(index, op.op, [sample.input, *sample.args], sample.kwargs)


def module_calls(info, dtype):
    index = 0
    for made in info.module_inputs_func(info, "cpu", dtype, requires_grad=False, training=False):
        if made.forward_input is None:
            continue
        args, kwargs = made.constructor_input.args, made.constructor_input.kwargs
        module = info.module_cls(*args, **kwargs).to(dtype).eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        call = make_call(index, module, made.forward_input.args, made.forward_input.kwargs)
        call.text = f"{describe(args)}, {kwargs}: {call.text}"
        yield call
        index += 1


@functools.cache
def cases():
    """Every case by name and dtype, in order."""
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

    found = {}
    for op in op_db:
        name = op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")
        for dtype, torch_dtype in DTYPES.items():
            if torch_dtype in op.supported_dtypes("cpu") and not name.startswith(NO_OPERATORS):
                found[name, dtype] = Case(name, dtype, functools.partial(operator_calls, op))
    for info in module_db:
        if "Lazy" in info.name:  # they become the others when they first run
            continue
        name = "module." + info.name.removeprefix("nn.")
        found[name, "float32"] = Case(name, "float32", functools.partial(module_calls, info))
    return dict(sorted(found.items()))


def real_parts(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


class Program(torch.nn.Module):
    """Some calls, one after the other."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        modules = [call.function for call in calls if isinstance(call.function, torch.nn.Module)]
        self.modules_of_calls = torch.nn.ModuleList(modules)

    def forward(self, *tensors):
        results = []
        for call in self.calls:
            count = len(call.tensors)
            # ONNX Runtime has no complex numbers, but what they are made of.
            results += [real_parts(one) for one in call(tensors[:count])]
            tensors = tensors[count:]
        return tuple(results)


@dataclasses.dataclass
class Expected:
    """What PyTorch gives for a call by itself."""

    inputs: list  # arrays
    outputs: list
    error: str = ""


def as_array(tensor):
    return tensor.detach().resolve_conj().resolve_neg().contiguous().numpy().copy()


def expected(call):
    try:
        inputs = [as_array(tensor) for tensor in call.tensors]
        outputs = [as_array(real_parts(tensor.resolve_conj())) for tensor in call([tensor.clone() for tensor in call.tensors])]
    except Exception as error:  # noqa: BLE001: whatever an operator raises
        return Expected([], [], f"PyTorch: {error}".splitlines()[0])
    return Expected(inputs, outputs, "" if outputs else "PyTorch: it gives no tensor")


def write_program(calls, mode, path):
    """CALLS as one file. MODE: "raw" or "core" for .pt2, "script" for a trace. Raises what PyTorch raises."""
    module = Program(calls).eval()
    tensors = tuple(tensor.clone() for call in calls for tensor in call.tensors)
    with torch.no_grad():
        if mode == "script":
            torch.jit.save(torch.jit.trace(module, tensors, check_trace=False), path)
            return
        program = torch.export.export(module, tensors, strict=False)
        if mode == "core":
            program = program.run_decompositions()
        # A name of its own for the bytes to be the same in every run.
        with open(path, "wb") as out:
            torch.export.save(program, out)


def cache_folder(build):
    """Programs that were written are kept beside the build, for this PyTorch and these modules."""
    folder = pathlib.Path(build) / "ops" / f"torch-{torch.__version__}-{PROGRAMS}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
