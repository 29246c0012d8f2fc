"""ONNX models in run, verify, bench, doctor and load: what ONNX Runtime computes in Python is what mlc shows."""

import json
import pathlib
import random
import shutil
import subprocess

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import load_file, save_file

import onnx_models
import torchscript_models

pytestmark = pytest.mark.usefixtures("onnxruntime_engine")
IMAGE = "image:f32[batch=2,1,8,8]"


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A folder with one network as TorchScript and as ONNX."""
    folder = tmp_path_factory.mktemp("onnx")
    torch.jit.trace(torchscript_models.net(), torch.randn(1, 1, 8, 8)).save(folder / "net.pt")
    onnx_models.export_net(folder / "net.onnx")
    return folder


def fails(mlc, code, *args, **kwargs):
    """What it says; the last line is the hint, if there is one."""
    result = mlc(*args, **kwargs)
    assert (result.rc, result.stdout) == (code, ""), result
    return result.stderr


def run_file(mlc, tmp_path, proto, *args):
    return mlc("run", onnx_models.save(proto, tmp_path / "m.onnx"), *args)


# --- What comes out

def test_bits_are_those_of_python(mlc, net, tmp_path):
    image = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    answer = mlc.ok("run", net / "net.onnx", "--input", "image=@image.npy", "-o", "out.npz", "--threads", "1", "--json")
    want = onnx_models.python_outputs(net / "net.onnx", {"image": image})
    got = np.load(tmp_path / "out.npz")
    assert list(got) == ["logits"]
    assert np.array_equal(got["logits"], want["logits"])
    assert answer.stderr == ""
    assert answer.json["outputs"][0]["min"] == pytest.approx(float(want["logits"].min()))


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_of_a_transformer_are_those_of_python(mlc, tmp_path, threads):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, dropout=0)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        onnx_models.export(torch.nn.TransformerEncoder(layer, 2), (torch.randn(1, 9, 64),), tmp_path / "m.onnx",
                           input_names=["x"], output_names=["y"])
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    x = np.random.default_rng(1).standard_normal((1, 9, 64)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    mlc.ok("run", "m.onnx", "--input", "x=@x.npz", "-o", "y.npz", "--threads", threads)
    want = onnx_models.python_outputs(tmp_path / "m.onnx", {"x": x}, threads)["y"]
    assert np.array_equal(np.load(tmp_path / "y.npz")["y"], want)


TYPES = {
    "FLOAT": torch.float32, "DOUBLE": torch.float64, "FLOAT16": torch.float16, "BFLOAT16": torch.bfloat16,
    "BOOL": torch.bool, "INT8": torch.int8, "UINT8": torch.uint8, "INT16": torch.int16, "UINT16": torch.uint16,
    "INT32": torch.int32, "UINT32": torch.uint32, "INT64": torch.int64, "UINT64": torch.uint64,
    "FLOAT8E4M3FN": torch.float8_e4m3fn, "FLOAT8E5M2": torch.float8_e5m2,
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_goes_in_and_out(mlc, tmp_path, name):
    onnx_models.save(onnx_models.identity(getattr(TensorProto, name), ("n", 3)), tmp_path / "m.onnx")
    values = torch.arange(6).reshape(2, 3).to(torch.float32)
    tensor = (values > 2) if name == "BOOL" else values.to(TYPES[name])
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    mlc.ok("run", "m.onnx", "--input", "x=@x.safetensors", "-o", "y.safetensors")
    got = load_file(tmp_path / "y.safetensors")["y"]
    assert got.dtype == tensor.dtype and got.shape == tensor.shape
    assert got.contiguous().view(torch.uint8).tolist() == tensor.contiguous().view(torch.uint8).tolist()


def test_names_of_outputs_are_kept(mlc, tmp_path):
    nodes = [helper.make_node("Relu", ["serving_default_x:0"], ["/model/out"]),
             helper.make_node("Neg", ["serving_default_x:0"], ["second.1"])]
    proto = onnx_models.model(nodes, [onnx_models.value("serving_default_x:0", [2])],
                              [onnx_models.value("/model/out", [2]), onnx_models.value("second.1", [2])])
    onnx_models.save(proto, tmp_path / "m.onnx")
    answer = mlc.ok("run", "m.onnx", "--json").json
    assert [output["name"] for output in answer["outputs"]] == ["/model/out", "second.1"]
    np.save(tmp_path / "x.npy", np.array([-1, 2], np.float32))
    for spec in ("serving_default_x:0:f32[2]", "serving_default_x:0=@x.npy"):
        assert mlc.ok("run", "m.onnx", "--input", spec, "--json").json["inputs"][0]["name"] == "serving_default_x:0"


def test_empty_tensors_and_scalars(mlc, tmp_path):
    onnx_models.save(onnx_models.add(["n", 3], []), tmp_path / "m.onnx")
    result = mlc.ok("run", "m.onnx", "--input", "a:f32[n=0,3]", "--input", "b:f32[]", "--json").json
    assert result["outputs"][0]["shape"] == [0, 3]


def test_an_answer_fits_its_schema(mlc, net, valid):
    answer = mlc.ok("run", net / "net.onnx", "--json").json
    valid(answer, "run")
    assert answer["engine"].startswith("ONNX Runtime 1.")
    assert answer["device"] == "cpu"


# --- What goes in

def test_without_inputs_sizes_that_vary_are_one(mlc, net):
    answer = mlc.ok("run", net / "net.onnx", "--json").json
    assert [(one["name"], one["shape"], one["dtype"]) for one in answer["inputs"]] == [("image", [1, 1, 8, 8], "float32")]


def test_sizes_made_of_others_follow(mlc, tmp_path):
    """As decoders have them: the mask covers past and present."""
    nodes = [helper.make_node("Concat", ["past", "now"], ["all"], axis=0), helper.make_node("Mul", ["all", "mask"], ["y"])]
    inputs = [onnx_models.value("past", ["past_len"]), onnx_models.value("now", ["seq"]),
              onnx_models.value("mask", ["past_len + seq"])]
    result = run_file(mlc, tmp_path, onnx_models.model(nodes, inputs, [onnx_models.value("y", ["all"])]), "--json")
    assert result.rc == 0, result
    assert [one["shape"] for one in result.json["inputs"]] == [[1], [1], [2]]


def test_a_size_without_a_name_gets_one(mlc, tmp_path):
    onnx_models.save(onnx_models.add([None, 3], ["odd name!", 3]), tmp_path / "m.onnx")
    assert [one["shape"] for one in mlc.ok("run", "m.onnx", "--json").json["inputs"]] == [[1, 3], [1, 3]]
    message = fails(mlc, 2, "run", "m.onnx", "--input", "a:f32[2,3]")
    assert "a: tensor of f32, declared as f32[a_0=1,3]" in message
    assert "--input 'b:f32[odd_name_=1,3]'" in message


def test_all_wrong_inputs_are_told_at_once(mlc, tmp_path):
    onnx_models.save(onnx_models.add(["n", 3], ["n", 3]), tmp_path / "m.onnx")
    message = fails(mlc, 2, "run", "m.onnx", "--input", "a:i64[2,3]", "--input", "b:f32[2,4]")
    assert 'input "a" is i64[2, 3], must be of type f32' in message
    assert 'input "b" is f32[2, 4], dimension 1: must be 3' in message
    assert "hint: as in --input 'a:f32[n=1,3]' --input 'b:f32[n=1,3]'" in message
    assert "must have 2 dimensions" in fails(mlc, 2, "run", "m.onnx", "--input", "a:f32[3]", "--input", "b:f32[1,3]")


def test_one_name_for_two_sizes_is_a_matter_of_the_model(mlc, tmp_path):
    """ONNX Runtime does not hold models to their names, and neither does mlc; sizes that clash name the node."""
    onnx_models.save(onnx_models.add(["n"], ["n"]), tmp_path / "m.onnx")
    assert mlc.ok("run", "m.onnx", "--input", "a:f32[4]", "--input", "b:f32[1]", "--json").json["outputs"][0]["shape"] == [4]
    message = fails(mlc, 2, "run", "m.onnx", "--input", "a:f32[4]", "--input", "b:f32[3]")
    assert "node /add (Add)" in message and "3 by 4" in message
    assert "onnxruntime" not in message and ".h:" not in message


def test_unknown_names_have_the_nearest(mlc, net):
    message = fails(mlc, 2, "run", net / "net.onnx", "--input", "imge:f32[1,1,8,8]")
    assert 'the model has no input "imge"' in message and "did you mean image?" in message


def test_any_rank(mlc, tmp_path):
    onnx_models.save(onnx_models.add(None, None), tmp_path / "m.onnx")
    assert "input \"a\" is missing" in fails(mlc, 2, "run", "m.onnx")
    shape = mlc.ok("run", "m.onnx", "--input", "a:f32[2,3,4]", "--input", "b:f32[4]", "--json").json["outputs"][0]["shape"]
    assert shape == [2, 3, 4]


def test_a_tensor_larger_than_the_machine(mlc, tmp_path):
    onnx_models.save(onnx_models.add(), tmp_path / "m.onnx")
    assert "this machine has" in fails(mlc, 2, "run", "m.onnx", "--input", "a:f32[1000000000000000]", "--input", "b:f32[1]")
    node = helper.make_node("ConstantOfShape", ["s"], ["y"], name="/fill")
    proto = onnx_models.model([node], [onnx_models.value("s", [2], TensorProto.INT64)], [onnx_models.value("y", ["a", "b"])])
    onnx_models.save(proto, tmp_path / "fill.onnx")
    message = fails(mlc, 3, "run", "fill.onnx", "--input", "s:i64[2]=3000000")
    assert "not enough memory: node /fill (ConstantOfShape): it asks for 36000000000000 bytes" in message
    assert "--dtype" not in message


def test_old_models_list_their_weights_among_the_inputs(mlc, tmp_path):
    proto = onnx_models.linear()
    proto.ir_version = 3
    proto.graph.input.append(onnx_models.value("w", [4, 2]))
    answer = run_file(mlc, tmp_path, proto, "--json")
    assert answer.rc == 0, answer
    assert [one["name"] for one in answer.json["inputs"]] == ["x"]


# --- What cannot run

def sequence_output():
    node = helper.make_node("SplitToSequence", ["x"], ["y"])
    out = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    return onnx_models.model([node], [onnx_models.value("x", [2])], [out])


def map_output():
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    entry = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    out = helper.make_value_info("y", helper.make_sequence_type_proto(entry))
    return onnx_models.model([node], [onnx_models.value("x", [1, 2])], [out], domains=["ai.onnx.ml"])


def optional_input():
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    node = helper.make_node("OptionalGetElement", ["x"], ["y"])
    return onnx_models.model([node], [helper.make_value_info("x", kind)], [onnx_models.value("y", [2])])


def custom_operators():
    nodes = [helper.make_node("Foo", ["a"], ["b"], domain="com.x"), helper.make_node("Foo", ["b"], ["c"], domain="com.x"),
             helper.make_node("Bar", ["c"], ["d"], domain="org.y")]
    return onnx_models.model(nodes, [onnx_models.value("a", [2])], [onnx_models.value("d", [2])], domains=["com.x", "org.y"])


UNSUPPORTED = {
    "sequence": (sequence_output, 'output "y" is a sequence'),
    "map": (map_output, "zipmap"),
    "optional": (optional_input, 'input "x" is an optional value'),
    "strings": (lambda: onnx_models.identity(TensorProto.STRING), 'input "x" is a tensor of type string'),
    "four bits": (lambda: onnx_models.identity(TensorProto.UINT4), 'input "x" is a tensor of type u4'),
    "custom operators": (custom_operators, "2 custom operators that ONNX Runtime does not have: com.x.Foo x2 and org.y.Bar x1"),
    "no kernel": (lambda: onnx_models.add([2], [2], TensorProto.BFLOAT16), 'no implementation of Add(14) for the types of node "/add"'),
    "IR version": (lambda: onnx_models.add(ir=99), "its IR version is 99, and this ONNX Runtime reads 1"),
    "opset": (lambda: onnx_models.add(opset=999), "it is for opset 999 of ai.onnx"),
    "operator": (lambda: onnx_models.model([helper.make_node("Nope", ["x"], ["y"])], [onnx_models.value("x", [1])],
                                           [onnx_models.value("y", [1])]), "no operator Nope at opset 17"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_onnx_runtime_lacks_is_code_4(mlc, tmp_path, case):
    make, message = UNSUPPORTED[case]
    result = run_file(mlc, tmp_path, make())
    assert (result.rc, result.stdout) == (4, ""), result
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 2


def test_functions_of_the_model_are_no_custom_operators(mlc, tmp_path):
    function = helper.make_function("local", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])],
                                    [helper.make_opsetid("", 17)])
    node = helper.make_node("Twice", ["a"], ["b"], domain="local")
    proto = onnx_models.model([node], [onnx_models.value("a", [2])], [onnx_models.value("b", [2])], domains=["local"],
                              functions=[function])
    assert run_file(mlc, tmp_path, proto).rc == 0


def test_operators_of_onnx_runtime_itself(mlc, tmp_path):
    node = helper.make_node("FastGelu", ["a"], ["b"], domain="com.microsoft")
    proto = onnx_models.model([node], [onnx_models.value("a", [2])], [onnx_models.value("b", [2])], domains=["com.microsoft"])
    assert run_file(mlc, tmp_path, proto).rc == 0


def test_types_that_do_not_fit_are_damage(mlc, tmp_path):
    proto = onnx_models.add([2], [2])
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    result = run_file(mlc, tmp_path, proto)
    assert result.rc == 3
    assert "ONNX Runtime refuses it: type parameter (T)" in result.stderr


def test_options_for_libtorch(mlc, net):
    assert "--dtype cannot cast" in fails(mlc, 4, "run", net / "net.onnx", "--dtype", "bf16")
    assert "a program of its own" in fails(mlc, 2, "run", net / "net.onnx", "--arch", "a.yaml")
    assert 'no device is called "tpu"' in fails(mlc, 2, "run", net / "net.onnx", "--device", "tpu")


def test_cuda_where_there_is_none(mlc, net, onnxruntime_engine):
    if "CUDAExecutionProvider" in onnxruntime_engine["providers"]:
        pytest.skip("this ONNX Runtime has CUDA")
    message = fails(mlc, 4, "run", net / "net.onnx", "--device", "cuda")
    assert "is built without CUDA" in message and "onnxruntime-gpu" in message
    assert mlc.ok("run", net / "net.onnx", "--device", "auto", "--json").json["device"] == "cpu"


def test_other_verbs_say_what_takes_it(mlc, net, tmp_path):
    message = fails(mlc, 4, "save", net / "net.onnx", "-o", "t.pt")
    assert "is an ONNX model" in message and "`mlc load`, `run`" in message
    shutil.copy(net / "net.onnx", tmp_path / "net.pt")  # by content, not by name
    assert mlc.ok("run", "net.pt", "--json").json["engine"].startswith("ONNX Runtime")
    assert "cannot become TorchScript" in fails(mlc, 4, "trace", net / "net.onnx", "-o", "t.pt")


# --- Damage

def test_a_file_that_was_cut_off(mlc, net, tmp_path):
    content = (net / "net.onnx").read_bytes()
    for size in (len(content) - 1, len(content) // 2, 40):
        (tmp_path / "cut.onnx").write_bytes(content[:size])
        message = fails(mlc, 3, "run", "cut.onnx")
        assert "bytes, where" in message and "cut off" in message


def test_flipped_bits_end_in_an_error_or_an_answer(mlc, tmp_path):
    content = onnx_models.linear().SerializeToString()
    rng = random.Random(0)
    codes = set()
    for _ in range(150):
        broken = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        (tmp_path / "broken.onnx").write_bytes(broken)
        result = mlc("run", "broken.onnx", "--json")
        codes.add(result.rc)
        assert result.rc in (0, 2, 3, 4), (result, bytes(broken))
        if result.rc:
            assert json.loads(result.stderr.splitlines()[-1])["message"]
    assert {0, 3} <= codes


def test_a_weight_shorter_than_its_sizes(mlc, tmp_path):
    proto = onnx_models.linear()
    proto.graph.initializer[0].raw_data = b"\0" * 12
    result = run_file(mlc, tmp_path, proto)
    assert result.rc == 3
    assert 'tensor "w" takes 32 bytes and holds 12' in result.stderr


def test_weights_in_a_file_beside_it(mlc, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    path = onnx_models.with_external(onnx_models.linear(), folder)
    x = np.array([[1, 2, 3, 4]], np.float32)
    np.save(tmp_path / "x.npy", x)
    mlc.ok("run", path, "--input", "x=@x.npy", "-o", "y.npz")
    assert np.load(tmp_path / "y.npz")["y"].tolist() == (x @ np.arange(8).reshape(4, 2)).tolist()
    (folder / "w.bin").write_bytes((folder / "w.bin").read_bytes()[:20])
    message = fails(mlc, 3, "run", path)
    assert 'tensor "w" lies in "w.bin"' in message and "and the file has 20" in message
    (folder / "w.bin").unlink()
    message = fails(mlc, 3, "run", path)
    assert "w.bin" in message and "No such file" in message and "fetch those too" in message


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "a/../../w.bin", "*/_ORT_MEM_ADDR_/*", ""])
def test_weights_never_come_from_outside(mlc, tmp_path, location):
    (tmp_path / "w.bin").write_bytes(bytes(64))
    (tmp_path / "m").mkdir()
    path = onnx_models.with_external(onnx_models.linear(), tmp_path / "m")
    proto = onnx.load(str(path), load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    onnx_models.save(proto, path)
    message = fails(mlc, 3, "run", path)
    assert 'tensor "w" lies in' in message


# --- Warnings

def test_warnings_come_once_for_each_kind(mlc, tmp_path):
    unused = [helper.make_tensor(f"unused{i}", TensorProto.FLOAT, [1], [1]) for i in range(5)]
    onnx_models.save(onnx_models.add(initializers=unused), tmp_path / "m.onnx")
    result = mlc.ok("run", "m.onnx")
    assert result.stderr.count("warning: ONNX Runtime warns: removing initializer") == 1
    assert result.stderr.count("\n") == 1
    assert mlc.ok("run", "m.onnx", "-q").stderr == ""
    assert mlc.ok("run", "m.onnx", "-v").stderr.count("removing initializer") == 5


# --- verify and bench

def test_torchscript_and_its_export(mlc, net, valid, engine):
    result = mlc.ok("verify", net / "net.pt", net / "net.onnx", "--input", IMAGE, "--json")
    valid(result.json, "verify")
    assert result.json["same"]
    assert (result.json["engine"].split()[0], result.json["engine_b"].split()[0]) == ("LibTorch", "ONNX")
    assert [case["case"] for case in result.json["cases"]] == ["seed 0", "seed 1", "seed 2", "seed 0, batch=3"]
    output = result.json["cases"][0]["outputs"][0]
    assert (output["name"], output["name_b"]) == ("output", "logits")
    assert "LibTorch" in mlc.ok("verify", net / "net.onnx", net / "net.pt", "--input", IMAGE).stdout


@pytest.mark.usefixtures("engine")
def test_inputs_that_b_declares_are_paired_with_those_of_a(mlc, net, tmp_path):
    onnx_models.export(torchscript_models.net(), (torch.randn(1, 1, 8, 8),), tmp_path / "x.onnx", input_names=["x.1"],
                       dynamic_axes={"x.1": {0: "batch"}})
    result = mlc.ok("verify", net / "net.pt", "x.onnx")
    assert result.stdout.splitlines()[-1] == "the same in 4 cases"
    assert "paired in order: x.1 as image" in result.stderr
    assert 'no input "x.1"' in fails(mlc, 2, "verify", net / "net.pt", "x.onnx", "--input", "x.1:f32[2,1,8,8]")


@pytest.mark.usefixtures("engine")
def test_another_weight_in_the_export_is_found(mlc, net, tmp_path):
    changed = torchscript_models.net()
    with torch.no_grad():
        changed.fc.bias[3] += 0.01
    onnx_models.export(changed, (torch.randn(1, 1, 8, 8),), tmp_path / "changed.onnx", input_names=["image"],
                       output_names=["logits"], dynamic_axes={"image": {0: "batch"}})
    result = mlc("verify", net / "net.pt", "changed.onnx", "--input", IMAGE)
    assert result.rc == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("not the same: first diverging output: output / logits (seed 0): max abs 0.01, ") and "first at [0, 3]: " in last


@pytest.mark.usefixtures("engine")
def test_a_size_that_the_export_fixed_shows(mlc, net, tmp_path):
    onnx_models.export_net(tmp_path / "fixed.onnx", dynamic_axes=None)
    result = mlc("verify", net / "net.pt", "fixed.onnx", "--input", "image:f32[batch=1,1,8,8]")
    assert result.rc == 1
    assert "B refuses inputs that A takes (seed 0, batch=2)" in result.stdout


@pytest.mark.usefixtures("engine")
def test_a_checkpoint_with_its_architecture_and_its_export(mlc, root, net, tmp_path, valid):
    """The whole way of a model: weights and YAML, TorchScript of them, ONNX of that."""
    arch = root / "examples/architectures/digits_cnn.yaml"
    mlc.ok("strip-module-prefix", root / "examples/digits/digits.pt", "-o", "weights.pt")
    mlc.ok("trace", "weights.pt", "--arch", arch, "-o", "script.pt")
    onnx_models.export(torch.jit.load(tmp_path / "script.pt"), (torch.randn(2, 1, 8, 8),), tmp_path / "m.onnx",
                       input_names=["x"], dynamic_axes={"x": {0: "batch"}})
    result = mlc.ok("verify", "weights.pt", "m.onnx", "--arch", arch, "--json")
    assert result.json["same"] and len(result.json["cases"]) == 5
    answer = mlc.ok("bench", "weights.pt", "script.pt", "m.onnx", "--arch", arch, "--runs", "10", "--json").json
    valid(answer, "bench")
    assert [row["engine"].split()[0] for row in answer["artefacts"]] == ["LibTorch", "LibTorch", "ONNX"]


@pytest.mark.usefixtures("engine")
def test_an_exported_program_and_onnx(mlc, net, tmp_path):
    module = torchscript_models.net().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (torch.randn(2, 1, 8, 8),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    result = mlc.ok("verify", "net.pt2", net / "net.onnx", "--json").json
    assert result["same"]
    sizes = [", " in case["case"] for case in result["cases"]]
    assert sizes == [False, False, False, False, True, True]  # sample inputs, three seeds, another size, the largest


def test_int8_beside_float(mlc, net, tmp_path):
    """Dynamic quantization as users do it; a gate by cosine tells how much it costs."""
    from onnxruntime.quantization import quantize_dynamic  # pylint: disable=import-outside-toplevel
    quantize_dynamic(net / "net.onnx", tmp_path / "int8.onnx", op_types_to_quantize=["MatMul", "Gemm"])
    assert mlc("verify", net / "net.onnx", "int8.onnx").rc == 1
    assert mlc.ok("verify", net / "net.onnx", "int8.onnx", "--min-cosine", "0.99").stdout.endswith("the same in 4 cases\n")
    rows = mlc.ok("bench", net / "net.onnx", "int8.onnx", "--runs", "10", "--json").json["artefacts"]
    assert rows[1]["file_bytes"] < rows[0]["file_bytes"] and rows[1]["speedup"] > 0


@pytest.mark.usefixtures("engine")
def test_the_table_of_both_engines(mlc, net, tmp_path):
    result = mlc.ok("bench", net / "net.pt", net / "net.onnx", "--input", IMAGE, "--runs", "10", "--report", "r.html",
                    cwd=tmp_path)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("LibTorch ") and " and ONNX Runtime " in lines[0]
    assert "ENGINE" in next(line for line in lines if line.startswith("ARTEFACT"))
    assert any("net.onnx" in line and "ONNX Runtime" in line for line in lines)
    assert "ONNX Runtime" in (tmp_path / "r.html").read_text()


def test_bench_of_an_onnx_model_needs_no_inputs(mlc, net):
    answer = mlc.ok("bench", net / "net.onnx", "--batch", "1", "--batch", "4", "--runs", "10", "--json").json
    assert [row["batch"] for row in answer["artefacts"]] == [1, 4]


def test_the_size_of_a_model_counts_the_files_beside_it(mlc, tmp_path):
    path = onnx_models.with_external(onnx_models.linear((64, 64)), tmp_path)
    row = mlc.ok("bench", path, "--runs", "10", "--json").json["artefacts"][0]
    assert row["file_bytes"] == path.stat().st_size + (tmp_path / "w.bin").stat().st_size


# --- The library

def test_doctor_tells_library_module_and_providers(mlc, valid, onnxruntime_engine):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    answer = mlc.ok("doctor", "--json").json
    valid(answer, "doctor")
    assert onnxruntime_engine["version"] == onnxruntime.__version__
    assert onnxruntime_engine["providers"] == onnxruntime.get_available_providers()
    assert pathlib.Path(onnxruntime_engine["library"]).exists() and pathlib.Path(onnxruntime_engine["module"]).exists()
    text = mlc.ok("doctor").stdout
    for label in ("ONNX Runtime", "  library", "  module", "  providers"):
        assert label in text


def test_without_onnx_runtime_there_is_no_verdict(mlc, net):
    for variable in ("MLC_ONNXRUNTIME", "MLC_ORT_MODULE"):
        nowhere = {variable: "/nowhere.so"}
        for args in (("run", net / "net.onnx"), ("verify", net / "net.onnx", net / "net.onnx"), ("bench", net / "net.onnx")):
            message = fails(mlc, 4, *args, env=nowhere)
            assert variable in message and "hint: " in message
    error = mlc("run", net / "net.onnx", "--json", env={"MLC_ONNXRUNTIME": "/nowhere.so"}).error
    assert error["kind"] == "unsupported" and "scripts/quickstart" in error["hint"]


def test_doctor_of_a_module_that_is_missing(mlc, valid):
    answer = mlc.ok("doctor", "--json", env={"MLC_ORT_MODULE": "/nowhere.so"}).json
    valid(answer, "doctor")
    assert answer["onnxruntime"]["found"] and "MLC_ORT_MODULE" in answer["onnxruntime"]["problem"]
    assert "providers" not in answer["onnxruntime"]


def test_an_older_library_is_told_with_both_versions(mlc, net, tmp_path):
    (tmp_path / "old.c").write_text("""
        #include <stddef.h>
        static const void* api(unsigned v) { (void)v; return NULL; }
        static const char* version(void) { return "1.10.0"; }
        static const struct { const void* (*a)(unsigned); const char* (*v)(void); } base = {api, version};
        const void* OrtGetApiBase(void) { return &base; }
    """)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "old.so", tmp_path / "old.c"], check=True)
    message = fails(mlc, 4, "run", net / "net.onnx", env={"MLC_ONNXRUNTIME": str(tmp_path / "old.so")})
    assert "is 1.10.0, and mlc (built with the header of 1." in message and "needs 1.14 or newer" in message


def test_a_folder_names_the_library_in_it(mlc, net, onnxruntime_engine):
    folder = pathlib.Path(onnxruntime_engine["library"]).parent
    answer = mlc.ok("doctor", "--json", env={"MLC_ONNXRUNTIME": str(folder)}).json
    assert json.dumps(answer["onnxruntime"]["library"]) == json.dumps(onnxruntime_engine["library"])


def test_onnxruntime_left_an_identifier_of_the_machine(mlc, net, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    mlc.ok("run", net / "net.onnx", "--input", IMAGE, env={"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")})
    assert list(home.iterdir()) == []
