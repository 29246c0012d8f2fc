#!/usr/bin/env python3
"""Writes what each fuzzer starts from: make_seeds.py FOLDER makes FOLDER/<target>/<file>.

Real files (tests/golden, examples) and the generated broken ones of tests/hostile, taken apart to what the
target reads. Inputs that once failed are committed beside this script, in corpus/<target>/.
"""

import io
import pathlib
import struct
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LARGEST = 20_000  # bytes: what is larger makes a fuzzer slow

sys.path.insert(0, str(ROOT / "tests" / "hostile"))
import make_hostile  # noqa: E402  pylint: disable=wrong-import-position

RULES = {
    "regex": b"/^layer(\\d+)\\./blocks.$1./\0layer1.weight\nlayer2.bias",
    "map": b"head.=classifier.\0head.weight\nhead.bias",
    "prefix": b"version: 1\nrules:\n  - {prefix: 'a.', to: 'b.'}\n\0a.weight\na.bias\nc",
    "split": b"version: 1\nrules:\n  - {suffix: qkv, split: {dim: 0, parts: 3, to: [q, k, v]}}\n\0a.qkv\nb",
    "concat": b"version: 1\nrules:\n  - {match: ['(.*)q', '(.*)k'], concat: {dim: 0, to: '$1qk'}}\n\0a.q\na.k",
    "transpose": b"version: 1\nrules:\n  - {glob: '*.weight', transpose: [1, 0]}\n\0a.weight\nb.weight",
    "prefixes": b"\0module._orig_mod.a.weight\nmodule._orig_mod.a.bias",
}

INPUT_SPECS = (
    "image:f32[batch=2,3,h=224,w=224]", "ids:i64[batch=2,seq=8..512]=0..30521", "x:bf16[2]=-1.5..1e-7", "mask:bool[]=1",
    "image=@sample.npy", "serving_default_x:0:f32[2]", "x:0=@a:b[1].npy", "x:f33[2]", "x:f32[1,,2]", "x:i8[2]=0..128",
)


def files():
    """(name, content) of whole checkpoints, good and broken."""
    for path in sorted((ROOT / "tests" / "golden").rglob("*")):
        if path.is_file() and path.suffix not in (".md", ".json"):
            yield path.name, path.read_bytes()
    for label, case in make_hostile.all_cases():
        if isinstance(case.content, bytes):
            yield label, case.content


def zip_records(content):
    """(name, content) of the records of a zip, none where it is no zip or a broken one."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    except Exception:  # pylint: disable=broad-exception-caught
        return []  # broken on purpose, in any way


def npy_files():
    """Headers of each version and order, without numpy."""
    for version, length in ((1, "<H"), (2, "<I")):
        for dtype in ("<f4", ">f8", "|b1", "<c8", "<i8"):
            for order in (False, True):
                text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': (2, 3), }}\n".encode()
                head = b"\x93NUMPY" + bytes([version, 0]) + struct.pack(length, len(text)) + text
                yield f"{version}-{dtype[1:]}-{order}", head + bytes(6 * int(dtype[2:]))


def onnx_files():
    """A model with all that the reader looks at: subgraph, function, packed sizes, weights elsewhere, odd types."""
    from onnx import TensorProto, helper  # pylint: disable=import-outside-toplevel
    outside = helper.make_tensor("w", TensorProto.FLOAT, [2, 3], [0] * 6)
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", "64"), ("length", "24")):
        entry = outside.external_data.add()
        entry.key, entry.value = key, value
    branch = helper.make_graph([helper.make_node("Foo", ["x"], ["z"], domain="com.x")], "branch", [],
                               [helper.make_tensor_value_info("z", TensorProto.FLOAT, [])])
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
             helper.make_node("Constant", [], ["k"], value=helper.make_tensor("k", TensorProto.INT4, [3], [1, 2, 3])),
             helper.make_node("Twice", ["x"], ["t"], domain="local")]
    inputs = [helper.make_tensor_value_info("x:0", TensorProto.FLOAT, ["batch", None, "a + 2*b", 3]),
              helper.make_tensor_value_info("any", TensorProto.BFLOAT16, None),
              helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3])]
    outputs = [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)]
    function = helper.make_function("local", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])],
                                    [helper.make_opsetid("", 17)])
    inside = helper.make_tensor("v", TensorProto.FLOAT, [2], bytes(8), raw=True)
    graph = helper.make_graph(nodes, "graph", inputs, outputs, [outside, inside])
    model = helper.make_model(graph, producer_name="pytorch", producer_version="2.13", functions=[function]).SerializeToString()
    yield "whole", model
    yield "cut", model[:len(model) // 2]


def seeds():
    """(target, name, content) of every seed."""
    for name, content in files():
        yield "checkpoint", name, content
        if content[:2] == b"PK":
            yield "zip", name, content
        for record, inner in zip_records(content):
            if record.endswith(".pkl"):
                yield "pickle", f"{name}-{record}", inner
            if record.endswith(".json"):
                yield "pt2", f"{name}-{record}", inner
                yield "exported_program", f"{name}-{record}", inner
        if content[8:9] == b"{":
            yield "safetensors", name, content[8:8 + struct.unpack_from("<Q", content)[0] % LARGEST]
    yield from (("npy", name, content) for name, content in npy_files())
    yield from ((target, name, content) for name, content in onnx_files() for target in ("onnx", "onnx_edit"))
    yield from (("rules", name, content) for name, content in RULES.items())
    yield from (("input_spec", str(number), text.encode()) for number, text in enumerate(INPUT_SPECS))
    for path in sorted((*ROOT.glob("schemas/examples/*.yaml"), *ROOT.glob("examples/*/*.yaml"))):
        yield "yaml", path.name, path.read_bytes()
        yield "rules", path.name, path.read_bytes()
        if b"mlc: recipe/" in path.read_bytes():
            yield "recipe", path.name, path.read_bytes()
        if b"mlc: architecture/" in path.read_bytes():
            yield "architecture", path.name, path.read_bytes()


def main(folder):
    for target, name, content in seeds():
        if len(content) > LARGEST:
            continue
        (folder / target).mkdir(parents=True, exist_ok=True)
        (folder / target / name.replace("/", "-")).write_bytes(content)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
