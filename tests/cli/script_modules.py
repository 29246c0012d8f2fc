"""What architecture_dump prints, compiled as an engine will do it: one torch.jit class per module.

Python offers no way to define methods on an empty script module, but what torch.jit.script itself
uses does: a type is built from attributes, an object from the type, methods from source text. The
names `torch` and `F` resolve as in the C++ resolver, torch to the operators of aten.
"""

import json
import os
import pathlib
import subprocess
import types

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
DUMP = ROOT / "build/release/bin/architecture_dump"
if "MLC" in os.environ:
    DUMP = pathlib.Path(os.environ["MLC"]).resolve().parent / "architecture_dump"

# The alternatives of mlc::arch::Value.
NONE, BOOL, INT, FLOAT, STR, INTS, FLOATS, STRS = range(8)


def dump(path):
    """The JSON of architecture_dump, or its complaint as an exception."""
    done = subprocess.run([DUMP, str(path)], capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode())
    return json.loads(done.stdout)


class Aten(types.ModuleType):
    """torch.conv2d and so on as operators; what is no operator (torch.float32) as in Python."""

    def __init__(self):
        super().__init__("torch")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(torch.ops.aten, name)
        except AttributeError:
            return getattr(torch, name)


NAMES = {"torch": Aten(), "F": torch.nn.functional, "math": __import__("math"), "ValueError": ValueError,
         "PackedSequence": torch.nn.utils.rnn.PackedSequence}


class Described:
    """Stands for the Python class that torch.jit.script starts from."""


def attribute_type(kind):
    c = torch._C
    plain = {NONE: c.NoneType, BOOL: c.BoolType, INT: c.IntType, FLOAT: c.FloatType, STR: c.StringType}
    if kind in plain:
        return plain[kind].get()
    return c.ListType({INTS: c.IntType, FLOATS: c.FloatType, STRS: c.StringType}[kind].get())


def initial(tensor):
    """A buffer that no checkpoint holds, from its init."""
    kind, a, values = tensor["init"]
    dtype, shape = getattr(torch, tensor["dtype"]), tensor["shape"]
    if kind == 2:
        return torch.full(shape, a, dtype=dtype)
    if kind == 3:
        return torch.arange(shape[-1], dtype=dtype).expand(shape).clone()
    if kind == 4:
        return torch.ones(shape, dtype=dtype).tril()
    if kind == 5:
        return torch.tensor(values, dtype=dtype).reshape(shape)
    raise AssertionError(tensor)


def build(description, state):
    """(type, object) of a module of the dump; tensors from STATE by their paths."""
    builder = torch._C.ConcreteModuleTypeBuilder(Described)
    builder.set_poisoned()
    builder.add_attribute("training", torch._C.BoolType.get(), False, False)
    values = {"training": False}
    for kind in ("parameters", "buffers"):
        for tensor in description[kind]:
            is_parameter = kind == "parameters"
            builder.add_attribute(tensor["name"], torch._C.TensorType.get(), is_parameter, not is_parameter)
            key = tensor["tied_to"] or tensor["path"]
            values[tensor["name"]] = state[key].detach() if key in state else initial(tensor)
    for name, (kind, value) in description["constants"].items():
        builder.add_attribute(name, attribute_type(kind), False, False)
        values[name] = float(value) if kind == FLOAT else value  # "inf" is text in JSON
    for child in description["children"]:
        child_type, child_object = build(child, state)
        builder.add_module(child["name"], child_type)
        values[child["name"]] = child_object
    concrete = builder.build()
    made = torch._C._create_module_with_type(concrete.jit_type)
    for name, value in values.items():
        made.setattr(name, value)
    if description["source"]:
        made._define(concrete, description["source"], NAMES.get)
    return concrete, made


def flat(value):
    """The tensors in nested tuples and lists; None stays."""
    if isinstance(value, (tuple, list)):
        return [one for part in value for one in flat(part)]
    return [value]


def run(description, state, *inputs):
    """The outputs of the root's forward."""
    made = build(description, state)[1]
    with torch.no_grad():
        return made._get_method("forward")(*inputs)
