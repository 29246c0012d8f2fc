"""mlc run on TorchScript files that Python made, against what Python computes from the same inputs."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import torchscript_models

pytestmark = pytest.mark.usefixtures("engine")
IMAGE = "image:f32[2,1,8,8]"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    torchscript_models.write_all(folder)
    return folder


def python_outputs(path, **inputs):
    with torch.inference_mode():
        return torch.jit.load(path).eval()(**inputs)


def save_input(path, tensor):
    np.save(path, tensor.numpy())
    return path


# --- the numbers


@pytest.mark.parametrize("name", ["traced", "scripted"])
@pytest.mark.parametrize("extension", ["npz", "safetensors", "pt"])
def test_outputs_are_those_of_python(mlc, models, tmp_path, name, extension):
    image = torch.randn(3, 1, 8, 8)
    save_input(tmp_path / "image.npy", image)
    mlc.ok("run", models / f"{name}.pt", "--input", "image=@image.npy", "-o", f"out.{extension}")
    expected = python_outputs(models / f"{name}.pt", image=image)
    read = {"npz": np.load, "safetensors": load_file, "pt": lambda path: torch.load(path, weights_only=True)}
    got = torch.as_tensor(read[extension](tmp_path / f"out.{extension}")["output"])
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["ts_1.7.pt", "tt_1.7.pt"])
def test_files_of_pytorch_1_7_run_too(mlc, root, tmp_path, name):
    x = torch.randn(4, 3)
    save_input(tmp_path / "x.npy", x)
    model = root / "tests/golden" / name
    mlc.ok("run", model, "--input", "input=@x.npy", "-o", "out.pt")
    torch.testing.assert_close(
        torch.load(tmp_path / "out.pt")["output"], python_outputs(model, input=x), rtol=1e-6, atol=1e-6)


def test_integers_defaults_and_dicts(mlc, models, tmp_path):
    ids, mask = torch.randint(0, 50, (2, 5)), torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1.0]])
    save_input(tmp_path / "ids.npy", ids)
    torch.save({"mask": mask, "other": ids}, tmp_path / "inputs.pt")
    model = models / "embedder.pt"
    mlc.ok("run", model, "--input", "ids=@ids.npy", "-o", "a.pt")
    mlc.ok("run", model, "--input", "mask=@inputs.pt", "--input", "ids=@ids.npy", "-o", "b.pt")
    for file, inputs in (("a.pt", {"ids": ids}), ("b.pt", {"ids": ids, "mask": mask})):
        got, expected = torch.load(tmp_path / file), python_outputs(model, **inputs)
        assert list(got) == list(expected)
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-6, atol=1e-6)


def test_nested_results_and_numbers(mlc, models, tmp_path):
    x = torch.tensor([1.0, -2.0])
    save_input(tmp_path / "x.npy", x)
    mlc.ok("run", models / "odd.pt", "--input", "x=@x.npy", "--input", "times:i64[]=3", "-o", "out.pt")
    got = torch.load(tmp_path / "out.pt")
    assert list(got) == ["output.0", "output.1.0", "output.1.1", "output.2", "output.3.0"]
    assert got["output.0"].tolist() == [3, -6]
    assert got["output.1.1"].tolist() == [True, False]
    assert (got["output.2"].item(), got["output.2"].dtype) == (3, torch.int64)
    assert got["output.3.0"].dtype == torch.float64
    default = mlc.ok("run", models / "odd.pt", "--input", "x=@x.npy", "--json").json
    assert default["outputs"][3]["first"] == [2]


@pytest.mark.parametrize("flag, dtype", [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_dtype_casts_floats_and_leaves_integers(mlc, models, tmp_path, flag, dtype):
    """Casting all of the module would cast the positions too, and indexing would fail."""
    mlc.ok("run", models / "embedder.pt", "--input", "ids:i64[1,4]", "--dtype", flag, "-o", "out.safetensors")
    assert load_file(tmp_path / "out.safetensors")["hidden"].dtype == dtype
    mlc.ok("run", models / "embedder.pt", "--input", "ids:i64[1,4]", "-o", "full.safetensors")
    torch.testing.assert_close(
        load_file(tmp_path / "out.safetensors")["hidden"].float(), load_file(tmp_path / "full.safetensors")["hidden"],
        rtol=0.01, atol=0.05)


def test_dtype_leaves_numbers_alone(mlc, tmp_path):
    """--dtype rounded the floats of Python too, and an int took the floor of a float."""
    class Numbers(torch.nn.Module):
        def forward(self, x: torch.Tensor, scale: float, n: int):
            return x, scale, n

    torch.jit.script(Numbers()).save(tmp_path / "numbers.pt")
    given = ("numbers.pt", "--input", "x:f32[1]=1", "--input", "scale:f64[]=0.1")
    answer = mlc.ok("run", *given, "--input", "n:i64[]=5", "--dtype", "fp16", "--json").json
    assert [output["first"] for output in answer["outputs"]] == [[1], [0.1], [5]]
    assert "takes an int there, not f32[]" in fails(mlc, 2, *given, "--input", "n:f32[]=5.7")


def test_a_model_in_training_mode_runs_in_evaluation_mode(mlc, models):
    result = mlc.ok("run", models / "training.pt", "--input", "input:f32[4]=1", "--json")
    assert "saved in training mode" in result.stderr
    assert result.json["outputs"][0]["first"] == [1, 1, 1, 1]


def test_python_sees_the_random_inputs_too(mlc, models, tmp_path):
    """The values of a seed are defined: this is the definition, written again."""
    mask, step = (1 << 64) - 1, 0x9E3779B97F4A7C15

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    key = mix((7 + step) & mask)
    for char in b"x":
        key = (mix(key ^ char) + step) & mask
    expected = [(mix((key + i * step) & mask) * 100) >> 64 for i in range(4)]
    got = mlc.ok("run", models / "talker.pt", "--input", "x:i64[4]=0..99", "--seed", "7", "--json").json
    assert got["outputs"][0]["first"] == expected


# --- what is shown


def test_preview(mlc, models):
    result = mlc.ok("run", models / "traced.pt", "--input", IMAGE, "--threads", "1")
    lines = result.stdout.splitlines()
    assert lines[0] == f"model   {models / 'traced.pt'}"
    assert lines[1].startswith("engine  LibTorch 2.13.0") and lines[1].endswith(" on cpu, 1 thread")
    assert lines[2] == "input   image f32[2, 1, 8, 8], random, seed 0"
    assert lines[4].split() == ["OUTPUT", "DTYPE", "SHAPE", "MIN", "MAX", "MEAN", "FIRST", "VALUES"]
    assert lines[5].startswith("output  f32    [2, 10]")
    assert result.stderr == ""
    assert mlc.ok("run", models / "traced.pt", "--input", IMAGE, "--threads", "1").stdout == result.stdout


def test_how_inputs_came_to_be(mlc, models, tmp_path):
    np.save(tmp_path / "x.npy", np.ones(2, np.float32))
    for spec, text in (("x:f32[2]=1", "x f32[2], 1 everywhere"), ("x=@x.npy", "x f32[2], from x.npy"),
                       ("x:i64[2]=-1..5", "x i64[2], random from -1 to 5, seed 3"),
                       ("x:f32[2]=0.5..1", "x f32[2], random from 0.5 to 1, seed 3")):
        assert f"input   {text}\n" in mlc.ok("run", models / "talker.pt", "--input", spec, "--seed", "3").stdout


def test_json_fits_its_schema(mlc, models, valid):
    answer = mlc.ok("run", models / "traced.pt", "--input", IMAGE, "--json", "-o", "a.npz").json
    valid(answer, "run")
    assert answer["written"]["bytes"] == os.path.getsize(mlc.cwd / "a.npz")
    valid(mlc.ok("run", models / "odd.pt", "--input", "x:f32[0]", "--json", "--dtype", "fp32").json, "run")


def test_large_integers_are_exact(mlc, models, valid):
    """Doubles made 9223372036854775807 of it one more, which no int64 holds."""
    large = 2**63 - 1
    answer = mlc.ok("run", models / "talker.pt", "--input", f"x:i64[2]={large}", "--json")
    valid(answer.json, "run")
    (output,) = answer.json["outputs"]
    assert (output["first"], output["min"], output["max"]) == ([large, large], large, large)
    assert isinstance(output["first"][0], int) and isinstance(output["min"], int)
    assert str(large) in mlc.ok("run", models / "talker.pt", "--input", f"x:i64[2]={large}").stdout


def test_nan_and_infinity_are_reported(mlc, models, valid):
    result = mlc.ok("run", models / "bad.pt", "--input", "x:f32[3]=-1", "--json")
    valid(result.json, "run")
    assert [o["infs"] for o in result.json["outputs"]] == [3, 0]
    assert [o["nans"] for o in result.json["outputs"]] == [0, 3]
    assert result.json["outputs"][1]["first"] == [None, None, None]
    assert "holds 3 infinite values among 3 values" in result.stderr
    assert "holds 3 NaNs among 3 values" in result.stderr


def test_prints_of_the_model_stay_out_of_the_answer(mlc, models):
    quiet = mlc.ok("run", models / "talker.pt", "--input", "x:f32[1]", "--json")
    assert quiet.stderr == "" and quiet.json
    assert "the model prints: hello from the model" in mlc.ok("run", models / "talker.pt", "--input", "x:f32[1]", "-v").stderr


def test_outputs_are_the_same_bytes_each_time(mlc, models, tmp_path):
    for name in ("a.npz", "b.npz"):
        mlc.ok("run", models / "traced.pt", "--input", IMAGE, "--threads", "1", "-o", name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


# --- errors


def fails(mlc, code, *arguments, has_hint=True):
    result = mlc("run", *arguments)
    assert (result.rc, result.stdout) == (code, ""), result
    for raw in ("Exception raised", "frame #", "c10::", "at::", ".cpp", "Traceback", "std::"):
        assert raw not in result.stderr, result.stderr
    assert ("hint: " in result.stderr) == has_hint
    return result.stderr


def test_missing_input_is_explained_with_a_line_that_works(mlc, models):
    error = fails(mlc, 2, models / "traced.pt")
    assert 'input "image" is missing' in error and "image: Tensor, traced with f32[1, 1, 8, 8]" in error
    example = error.split("--input '")[1].split("'")[0]
    mlc.ok("run", models / "traced.pt", "--input", example)


@pytest.mark.parametrize("model, inputs, messages", [
    ("traced", ["imgae:f32[1,1,8,8]"], ['no input "imgae"', "did you mean image?"]),
    ("traced", ["image:i64[1,1,8,8]"], ["image is i64[1, 1, 8, 8], the model was traced with f32[1, 1, 8, 8]"]),
    ("traced", ["image:f32[1,8]"], ["image is f32[1, 8], the model was traced with f32[1, 1, 8, 8]"]),
    ("traced", ["image:f32[1,1,8,9]"], ["cannot be multiplied", "traced with f32[1, 1, 8, 8]"]),
    ("scripted", ["image:f32[1,1,8,9]"], ["cannot be multiplied", "hint: the sizes of its weights, which `mlc load MODEL` shows"]),
    ("scripted", ["image:f32[1,1,8"], ["--input:1:16: expected , or ]", "^"]),
    ("scripted", ["image:f32[1]", "image:f32[1]"], ['input "image" is given twice']),
    ("embedder", ["ids:i64[1,4]=50"], ["index out of range"]),
    ("traced", ["image:f32[1000000,1000000,100,1]"], ["this machine has"]),
])
def test_inputs_that_do_not_fit(mlc, models, model, inputs, messages):
    error = fails(mlc, 2, models / f"{model}.pt", *(word for text in inputs for word in ("--input", text)))
    for message in messages:
        assert message in error


def test_messages_name_the_file_and_what_to_type(mlc, models, tmp_path):
    assert "traced.pt: input \"image\" is missing" in fails(mlc, 2, models / "traced.pt")
    error = fails(mlc, 2, models / "embedder.pt", "--input", "ids:i64[1,4]=50")
    assert "ids has integers from 50 to 50; --input 'ids:i64[1,4]=LOW..HIGH' says which it takes" in error
    error = fails(mlc, 2, models / "traced.pt", "--input", "image:f32[1000000,1000000,100,1]")
    assert error.count('input "image"') == 1
    torch.jit.script(torch.nn.Linear(3, 2).half()).save(tmp_path / "half.pt")
    error = fails(mlc, 2, "half.pt", "--input", "input:f32[1,3]")
    assert "the model's parameters are f16: --input 'input:f16[1,3]' or --dtype fp32" in error


def test_input_files_that_do_not_help(mlc, models, tmp_path):
    torch.save({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "two.pt")
    (tmp_path / "text.npy").write_text("not an array")
    assert "it has a and b" in fails(mlc, 3, models / "traced.pt", "--input", "image=@two.pt")
    assert "nope.npy" in mlc("run", models / "traced.pt", "--input", "image=@nope.npy").stderr
    assert mlc("run", models / "traced.pt", "--input", "image=@nope.npy").rc == 3
    assert mlc("run", models / "traced.pt", "--input", "image=@text.npy").rc in (3, 4)


def test_weights_without_a_program_do_not_run(mlc, tmp_path):
    torch.save(torchscript_models.net().state_dict(), tmp_path / "weights.pt")
    assert "nothing to run" in fails(mlc, 4, "weights.pt", "--input", IMAGE)


def test_corrupt_archives(mlc, models, tmp_path):
    content = (models / "traced.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    assert mlc("run", "cut.pt", "--input", IMAGE).rc == 3
    weights = zipfile.ZipFile(models / "traced.pt").getinfo("traced/data/0")
    at = weights.header_offset + 200
    (tmp_path / "flipped.pt").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    assert "traced/data/" in fails(mlc, 3, "flipped.pt", "--input", IMAGE)
    assert mlc("run", "nope.pt", "--input", IMAGE).rc == 3


def rewritten(source, target, old, new):
    """A copy of a TorchScript file with other code, of the right CRCs."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            after.writestr(entry.filename, content.replace(old, new) if entry.filename.endswith(".py") else content)


def test_custom_operators_are_named(mlc, models, tmp_path):
    rewritten(models / "bad.pt", tmp_path / "custom.pt", b"torch.sqrt(x)", b"ops.mine.root(ops.yours.fast_root(x))")
    error = fails(mlc, 4, "custom.pt", "--input", "x:f32[1]")
    assert "2 custom operators that LibTorch does not have: mine::root and yours::fast_root" in error


def test_code_that_does_not_compile_is_corrupt(mlc, models, tmp_path):
    rewritten(models / "bad.pt", tmp_path / "broken.pt", b"torch.sqrt(x)", b"torch.sqrt(")
    assert mlc("run", "broken.pt", "--input", "x:f32[1]").rc == 3
    assert "c10" not in mlc("run", "broken.pt", "--input", "x:f32[1]").stderr


DEEP = 20_000


@pytest.mark.parametrize("code", [
    b"torch.sqrt(" * DEEP + b"x" + b")" * DEEP,
    b"(" * DEEP + b"x" + b")" * DEEP,
    b"x" + b" + x" * DEEP,
    b"x if True else " * 2 * DEEP + b"x",
    b"torch.sqrt(annotate(" + b"List[" * DEEP + b"int" + b"]" * DEEP + b", [])[0])",
    b"x" + b"\\\n" * 100 * DEEP,
], ids=["calls", "brackets", "operators", "conditions", "types", "empty lines"])
def test_code_that_uses_up_the_stack_of_the_compiler_is_refused(mlc, models, tmp_path, code):
    """LibTorch's parser calls itself for each; the process died."""
    rewritten(models / "bad.pt", tmp_path / "deep.pt", b"torch.sqrt(x)", code)
    assert "deep, and no more than 1,000" in fails(mlc, 4, "deep.pt", "--input", "x:f32[1]")


STEP = b"    x = torch.relu(x)\n"


def written(tmp_path, name, body):
    """A TorchScript file whose forward(x) goes on with BODY."""
    class Step(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x)

    torch.jit.script(Step().eval()).save(str(tmp_path / "step.pt"))
    rewritten(tmp_path / "step.pt", tmp_path / name, b"    return torch.relu(x)\n", body)


def test_programs_that_use_up_the_stack_of_the_interpreter_are_refused(mlc, tmp_path):
    """It makes instructions of operations that feed only the next one by calling itself; the process died."""
    for count in (9_000, 40_000):
        written(tmp_path, f"{count}.pt", STEP * count + b"    return x\n")
    mlc.ok("run", "9000.pt", "--input", "x:f32[1]")
    assert "40,000 operations in a row" in fails(mlc, 4, "40000.pt", "--input", "x:f32[1]")
    assert mlc("bench", "40000.pt", "--input", "x:f32[1]").rc == 4


def test_functions_that_use_up_the_stack_once_inlined_are_refused(mlc, tmp_path):
    parts = [f"  def part_{i}(self, x: Tensor) -> Tensor:\n".encode() + STEP * 7_000 + b"    return x\n" for i in range(4)]
    calls = "".join(f"    x = (self).part_{i}(x, )\n" for i in range(4)).encode()
    written(tmp_path, "parts.pt", calls + b"    return x\n" + b"".join(parts))
    for verb in ("run", "bench"):
        result = mlc(verb, "parts.pt", "--input", "x:f32[1]")
        assert result.rc == 4 and "28,000 operations in a row" in result.stderr


def test_a_chain_that_dead_code_hides_is_refused(mlc, tmp_path):
    written(tmp_path, "dead.pt", (STEP + b"    dead = torch.neg(x)\n") * 40_000 + b"    return x\n")
    for verb in ("run", "bench"):
        assert mlc(verb, "dead.pt", "--input", "x:f32[1]").rc == 4


def test_deep_programs_without_chains_run(mlc, tmp_path):
    """What feeds two others ends a chain: an unrolled recurrence is no chain, however long."""
    written(tmp_path, "deep.pt", b"    x = torch.mul(torch.relu(x), torch.tanh(x))\n" * 8_000 + b"    return x\n")
    for verb in ("run", "bench"):
        mlc.ok(verb, "deep.pt", "--input", "x:f32[1]")


def test_lstm_with_a_baked_in_batch_is_refused_and_does_not_corrupt_memory(mlc, models, tmp_path):
    """As a trace in C++ records it. On oneDNN's path the process died of a corrupted heap, or worse, lived."""
    rewritten(models / "lstm.pt", tmp_path / "fixed.pt", b"int(max_batch_size), 8]", b"2, 8]")
    rewritten(tmp_path / "fixed.pt", tmp_path / "baked.pt", b"[1, _0, 8]", b"[1, 2, 8]")
    mlc.ok("run", "baked.pt", "--input", "x:f32[3,2,4]")
    assert "must match the size" in fails(mlc, 2, "baked.pt", "--input", "x:f32[3,64,4]")
    mlc.ok("run", models / "lstm.pt", "--input", "x:f32[3,64,4]")


@pytest.mark.parametrize("inputs", [
    ["x:f32[3,64,4]"], ["x:f32[3,64,4]", "h:f32[1,2,8]"], ["x:f32[3,2,4]", "h:f32[1,2,16]"], ["x:f32[3,2,4]", "h:f32[1,64,8]"],
    ["x:f32[3,2,16]"]])
def test_lstm_states_that_do_not_fit_are_refused_wherever_they_come_from(mlc, models, inputs):
    """Only a state of constant sizes beside the call was seen; others corrupted the heap."""
    specs = [word for text in inputs for word in ("--input", text)]
    fails(mlc, 2, models / "lstm_state.pt", *specs)
    bench = mlc("bench", models / "lstm_state.pt", *specs, "--warmup", "0", "--runs", "3")
    assert bench.rc == 2 and "lstm_state.pt: " in bench.stderr, bench
    mlc.ok("run", models / "lstm_state.pt", "--input", "x:f32[3,2,4]")
    mlc.ok("bench", models / "lstm_state.pt", "--input", "x:f32[3,2,4]", "--warmup", "0", "--runs", "3")


def test_memory_that_does_not_suffice(mlc, models):
    assert "not enough memory" in fails(mlc, 3, models / "huge.pt", "--input", "x:f32[1]")


def test_an_error_that_the_model_raises(mlc, tmp_path):
    class Raiser(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            if x.size(0) != 1:
                raise ValueError("one row at a time")
            return x

    torch.jit.script(Raiser()).save(tmp_path / "raiser.pt")
    assert "one row at a time" in fails(mlc, 2, "raiser.pt", "--input", "x:f32[2]", has_hint=False)


class OutOfMemory(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return torch.zeros(x.size(0) * 1000000000000)


@pytest.mark.parametrize("module, spec, code, words", [
    (torch.nn.Upsample(scale_factor=2.0, mode="nearest"), "input:f32[3,4]", 2, None),
    (OutOfMemory(), "x:f32[2]", 3, "not enough memory: 8.0 TB were asked for at once"),
    (torch.nn.Embedding(5, 2), "input:f32[2]", 2, "one of the following scalar types: i64, i32; but got f32 instead"),
    (torch.nn.Unflatten(1, (-1, -1)), "input:f32[2,12]", 2, "unflatten: only one dimension can be inferred"),
])
def test_what_the_library_says_of_itself_is_left_out(mlc, tmp_path, module, spec, code, words):
    torch.jit.script(module).save(tmp_path / "net.pt")
    result = mlc("run", "net.pt", "--input", spec)
    assert (result.rc, result.stdout) == (code, "")
    assert words is None or words in result.stderr
    for raw in ("enhancement request", "ONEDNN", "Allocator", "Error code", "FloatType", "static_cast", "unexpected error"):
        assert raw not in result.stderr


def test_weights_that_are_constants_cannot_be_cast(mlc, tmp_path):
    torch.jit.freeze(torch.jit.script(torch.nn.Linear(3, 2).eval())).save(tmp_path / "frozen.pt")
    mlc.ok("run", "frozen.pt", "--input", "input:f32[1,3]", "--dtype", "fp32")
    assert "constants" in fails(mlc, 4, "frozen.pt", "--input", "input:f32[1,3]", "--dtype", "bf16")


def test_outputs_are_not_overwritten(mlc, models, tmp_path):
    (tmp_path / "out.npz").write_text("mine")
    assert "--force replaces it" in fails(mlc, 5, models / "traced.pt", "--input", IMAGE, "-o", "out.npz")
    assert (tmp_path / "out.npz").read_text() == "mine"
    mlc.ok("run", models / "traced.pt", "--input", IMAGE, "-o", "out.npz", "--force")
    assert "use .npz, .safetensors or .pt" in fails(mlc, 2, models / "traced.pt", "--input", IMAGE, "-o", "out.txt")
    copy = tmp_path / "copy.pt"
    copy.write_bytes((models / "traced.pt").read_bytes())
    assert mlc("run", copy, "--input", IMAGE, "-o", copy, "--force").rc == 2


def test_outputs_never_replace_the_file_of_an_input(mlc, models, tmp_path):
    image = np.ones((2, 1, 8, 8), np.float32)
    np.savez(tmp_path / "image.npz", image=image)
    (tmp_path / "link.npz").symlink_to("image.npz")
    for output in ("image.npz", "link.npz"):
        fails(mlc, 2, models / "traced.pt", "--input", "image=@image.npz", "-o", output, "--force")
    assert np.load(tmp_path / "image.npz")["image"].tobytes() == image.tobytes()


def test_numpy_has_no_bfloat16(mlc, models, tmp_path):
    assert ".safetensors" in fails(mlc, 4, models / "traced.pt", "--input", IMAGE, "--dtype", "bf16", "-o", "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_unknown_devices(mlc, models):
    assert "devices are cpu, cuda" in fails(mlc, 2, models / "traced.pt", "--input", IMAGE, "--device", "gpu")


def test_ctrl_c_ends_a_run(mlc, models, tmp_path):
    process = mlc.start("run", models / "slow.pt", "--input", "x:f32[64,64]", "-o", "out.npz")
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stdout.read() == b"" and list(tmp_path.iterdir()) == []


class Divides(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return torch.div(x, -1, rounding_mode="trunc")


def test_a_division_that_no_cpu_does_ended_the_process_without_a_word(mlc, tmp_path):
    torch.jit.script(Divides().eval()).save(tmp_path / "m.pt")
    low = -2 ** 63
    assert "divides integers" in fails_without_hint(mlc, 4, "m.pt", "--input", f"x:i64[3]={low}")
    error = json.loads(mlc("run", "m.pt", "--input", f"x:i64[3]={low}", "--json").stderr)
    assert error["kind"] == "unsupported" and "by 0, or the least one by -1" in error["message"]


@pytest.mark.parametrize(("number", "words"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGABRT, "SIGABRT"), (signal.SIGILL, "SIGILL")])
def test_a_crash_of_a_kernel_says_so(mlc, models, tmp_path, number, words):
    process = mlc.start("run", models / "slow.pt", "--input", "x:f32[64,64]", "-o", "out.npz")
    time.sleep(1)
    process.send_signal(number)
    assert process.wait(10) == 70
    assert words in process.stderr.read().decode() and list(tmp_path.iterdir()) == []


ENDLESS = """mlc: architecture/1
parameters: {k: {shape: [1]}}
inputs: ["x:f32[2,4]"]
forward: |
  def forward(self, x: Tensor) -> Tensor:
      while True:
          x = x + 1
      return x
"""


@pytest.mark.parametrize("arguments", [["run"], ["trace", "-o", "out.pt"], ["verify", "k.pt"]], ids=lambda words: words[0])
def test_the_first_ctrl_c_was_lost_between_reading_and_running(mlc, tmp_path, arguments):
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    torch.save({"k": torch.zeros(1)}, tmp_path / "k.pt")
    for delay in (0.05, 0.1, 0.2, 0.4):
        process = mlc.start(*arguments, "k.pt", "--arch", "endless.yaml")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130, delay
        assert b"" == process.stdout.read()
        assert not (tmp_path / "out.pt").exists()


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


class PairOfKinds(NamedTuple):
    left: torch.Tensor
    times: int


class TakesPair(torch.nn.Module):
    def forward(self, pair: Pair):
        return pair.left - pair.right


class TakesMixed(torch.nn.Module):
    def forward(self, pair: PairOfKinds):
        return pair.left * pair.times


@pytest.mark.parametrize("parts", [("0", "1"), ("left", "right")], ids=" ".join)
def test_hints_for_a_named_tuple_went_in_circles(mlc, tmp_path, parts):
    torch.jit.script(TakesPair()).save(str(tmp_path / "m.pt"))
    left, right = torch.randn(2, 3), torch.randn(2, 3)
    np.save(tmp_path / "l.npy", left.numpy())
    np.save(tmp_path / "r.npy", right.numpy())
    assert "pair.0" in fails(mlc, 2, "m.pt") and "pair.0" in fails(mlc, 4, "m.pt", "--input", "pair:f32[2,3]")
    given = ["--input", f"pair.{parts[1]}=@r.npy", "--input", f"pair.{parts[0]}=@l.npy"]
    mlc.ok("run", "m.pt", *given, "-o", "o.npz")
    torch.testing.assert_close(torch.as_tensor(np.load(tmp_path / "o.npz")["output"]), left - right)
    assert "no part" in fails(mlc, 2, "m.pt", "--input", "pair.left:f32[2]", "--input", "pair.other:f32[2]")


def test_a_named_tuple_with_numbers_is_not_taken_and_told_so(mlc, tmp_path):
    torch.jit.script(TakesMixed()).save(str(tmp_path / "m.pt"))
    said = fails(mlc, 4, "m.pt", "--input", "pair:f32[2,3]")
    assert "Tuple[Tensor, int]" in said and "inputs are tensors, or one number each" in said


class NegativeNan(torch.nn.Module):
    def forward(self, x):
        return -torch.sqrt(-x).abs()


def test_nan_among_the_first_values_has_no_sign(mlc, tmp_path):
    torch.jit.script(NegativeNan()).save(str(tmp_path / "m.pt"))
    done = mlc.ok("run", "m.pt", "--input", "x:f32[2]=1")
    assert "nan" in done.stdout and "-nan" not in done.stdout


def test_values_beyond_the_type_became_infinite(mlc, models):
    assert "1e+39 is beyond what f32 holds" in fails(mlc, 2, models / "traced.pt", "--input", IMAGE + "=1e39")


# --- the module


def test_cuda_of_a_cpu_build_is_code_4(mlc, models, engine):
    if engine["cuda"]["available"]:
        pytest.skip("there is a CUDA device")
    assert "CUDA" in fails(mlc, 4, models / "traced.pt", "--input", IMAGE, "--device", "cuda")
    assert fails(mlc, 4, models / "traced.pt", "--input", IMAGE, "--device", "cuda:1")
    answer = mlc.ok("run", models / "traced.pt", "--input", IMAGE, "--device", "auto", "--json").json
    assert answer["device"] == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "auto"])
def test_cuda_computes_what_the_cpu_computes(mlc, models, engine, tmp_path, device):
    if not engine["cuda"]["available"]:
        pytest.skip(f"no CUDA device: {engine['cuda']['problem']}")
    for name in ("traced", "embedder"):
        shape = IMAGE if name == "traced" else "ids:i64[2,5]"
        for target in ("cpu", device):
            mlc.ok("run", models / f"{name}.pt", "--input", shape, "--device", target, "-o", f"{target}.pt", "--force")
        expected, got = torch.load(tmp_path / "cpu.pt"), torch.load(tmp_path / f"{device}.pt")
        for key, value in expected.items():
            torch.testing.assert_close(got[key], value, rtol=1e-3, atol=1e-4)


def test_missing_module_says_how_to_get_it(mlc, models):
    result = mlc("run", models / "traced.pt", "--input", IMAGE, "--json", env={"MLC_TORCH_MODULE": "/nowhere.so"})
    assert result.rc == 4
    assert result.error["kind"] == "unsupported"
    assert "MLC_TORCH_MODULE" in result.error["message"]


def test_missing_libtorch_says_how_to_get_it(mlc, models, tmp_path, engine):
    """A module whose LibTorch went away: the path that was built in is replaced by one that is empty."""
    content = open(engine["module"], "rb").read()
    path = next(p for p in content.split(b"\0") if p.startswith(b"$ORIGIN:"))
    (tmp_path / "module.so").write_bytes(content.replace(path, b"/nowhere".ljust(len(path), b"/")))
    result = mlc("run", models / "traced.pt", "--input", IMAGE, env={"MLC_TORCH_MODULE": str(tmp_path / "module.so")})
    assert result.rc == 4
    assert "LibTorch is not there any more" in result.stderr and "pip install torch" in result.stderr


def loaded_libraries(mlc, *arguments):
    trace = subprocess.run(
        [mlc.binary, *map(str, arguments)], cwd=mlc.cwd, env=mlc.environment({"LD_DEBUG": "files"}),
        capture_output=True, check=False)
    return trace.stderr.decode(errors="replace")


def test_no_checkpoint_verb_loads_libtorch(mlc, models, tmp_path):
    torch.save(torchscript_models.net().state_dict(), tmp_path / "a.pt")
    assert "libtorch_cpu" in loaded_libraries(mlc, "run", models / "traced.pt", "--input", IMAGE)
    for command in ("load a.pt", f"load {models / 'traced.pt'}", "save a.pt -o b.safetensors", "diff a.pt b.safetensors",
                    "strip-module-prefix a.pt --skip-unchanged -o c.pt", "remap-keys a.pt --map fc=head -o d.pt",
                    "metadata a.pt", "validate-version a.pt --requires torch>=1.0", "--help", "run --help", "--version",
                    "completion bash", "man"):
        libraries = loaded_libraries(mlc, *command.split())
        assert "libc.so" in libraries
        for name in ("libtorch", "libc10", "libmlc_torch", "libonnxruntime"):
            assert name not in libraries, command


def test_a_tiny_model_takes_little_time(mlc, models):
    """The target is 0.6 s for the process; its processor time does not depend on what runs beside it."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        mlc.ok("run", models / "traced.pt", "--input", IMAGE)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.6, times


def test_an_output_on_the_meta_device_was_a_defect(mlc, tmp_path):
    class Meta(torch.nn.Module):
        def forward(self, x):
            return x.to("meta")

    class Cuda(torch.nn.Module):
        def forward(self, x):
            return x.to("cuda")
    torch.jit.script(Meta()).save(str(tmp_path / "meta.pt"))
    torch.jit.script(Cuda()).save(str(tmp_path / "cuda.pt"))
    assert "meta device" in fails_without_hint(mlc, 4, "meta.pt", "--input", "x:f32[2]")
    if not torch.cuda.is_available():
        assert "mlc trace" in fails(mlc, 4, "cuda.pt", "--input", "x:f32[2]")


def fails_without_hint(mlc, code, *arguments):
    result = mlc("run", *arguments)
    assert (result.rc, result.stdout) == (code, ""), result
    return result.stderr


# --- lists, tuples and dictionaries of tensors


class Several(torch.nn.Module):
    def forward(self, xs: list[torch.Tensor], pair: tuple[torch.Tensor, torch.Tensor], named: dict[str, torch.Tensor]):
        return torch.stack(xs).sum(0), pair[0] - 2 * pair[1], named["a"] / named["b.c"]


def test_tensors_in_lists_tuples_and_dictionaries_could_not_be_given(mlc, tmp_path):
    model = Several().eval()
    torch.jit.script(model).save(tmp_path / "several.pt")
    names = ["xs.1", "xs.0", "xs.2", "pair.0", "pair.1", "named.a", "named.b.c"]
    made = {name: torch.randn(2, 3) for name in names}
    options = []
    for name, value in made.items():
        save_input(tmp_path / f"{name}.npy", value)
        options += ["--input", f"{name}=@{name}.npy"]
    mlc.ok("run", "several.pt", *options, "-o", "out.npz")
    expected = model([made[f"xs.{i}"] for i in range(3)], (made["pair.0"], made["pair.1"]),
                     {"a": made["named.a"], "b.c": made["named.b.c"]})
    got = np.load(tmp_path / "out.npz")
    for i, value in enumerate(expected):
        torch.testing.assert_close(torch.as_tensor(got[f"output.{i}"]), value, rtol=0, atol=0)
    assert "the same in" in mlc.ok("verify", "several.pt", "several.pt", *options).stdout
    mlc.ok("trace", "several.pt", *options, "-o", "again.pt")
    hint = fails(mlc, 2, "several.pt", "--input", "xs:f32[2]").splitlines()[-1]
    for name in ("xs.0", "pair.0", "pair.1", "named.KEY"):
        assert f"--input '{name}:f32[" in hint
    options[1] = "xs.7=@xs.1.npy"
    assert 'there is no part "7" among 3 parts' in fails(mlc, 2, "several.pt", *options)
    assert "it has 2 parts, not 1" in fails(mlc, 2, "several.pt", *options[2:8], "--input", "xs.1:f32[2,3]", *options[10:])
    everything = [f"--input={name}:f32[2,3]" for name in names if name[:2] != "xs"]
    assert "give its parts, as in 'xs.0:f32[1,3]'" in fails(mlc, 4, "several.pt", *everything, "--input", "xs:f32[2,3]")


# --- --dtype


class FixedType(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(3))

    def forward(self, x: torch.Tensor):
        return torch.zeros([2, 3]) @ self.weight + x


def test_a_model_that_cannot_be_cast_was_told_in_the_words_of_libtorch(mlc, tmp_path):
    torch.jit.script(FixedType()).save(tmp_path / "m.pt")
    said = fails(mlc, 4, "m.pt", "--input", "x:f32[2,3]", "--dtype", "bf16")
    assert "with --dtype the model cannot run" in said and "run it without --dtype" in said
    assert "f32" in said and "BFloat16" not in said and "Float" not in said
    torch.jit.script(FixedType().bfloat16()).save(tmp_path / "half.pt")
    said = fails(mlc, 2, "half.pt", "--input", "x:bf16[2,3]", has_hint=False)
    assert "bf16" in said and "BFloat16" not in said and "c10" not in said


def test_inputs_that_dtype_casts_say_so(mlc, tmp_path, valid):
    torch.jit.script(torch.nn.Linear(3, 2)).save(tmp_path / "m.pt")
    run = ("run", "m.pt", "--input", "input:f32[2,3]")
    result = mlc.ok(*run, "--dtype", "bf16", "--json")
    valid(result.json, "run")
    assert (result.json["inputs"][0]["dtype"], result.json["inputs"][0]["cast_to"]) == ("float32", "bfloat16")
    assert "input f32[2, 3], as bf16, random" in mlc.ok(*run, "--dtype", "bf16").stdout
    plain = mlc.ok(*run, "--dtype", "fp32", "--json").json["inputs"][0]
    assert "cast_to" not in plain


def peak_mib(mlc, *arguments):
    """The peak RSS of a run that has to succeed. Started by a small process: the peak of a child begins with
    what its parent holds, and this one holds PyTorch."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)")
    command = [sys.executable, "-c", script, str(mlc.binary), *map(str, arguments)]
    return int(subprocess.run(command, cwd=mlc.cwd, check=True, capture_output=True, text=True).stdout)


def test_weights_that_are_cast_were_in_memory_twice(mlc, tmp_path):
    """100 MiB of f32 weights; 50 MiB in bf16."""
    parts = [torch.nn.Linear(2048, 2048, bias=False) for _ in range(6)]
    weights = {f"{i}.weight": part.weight.detach() for i, part in enumerate(parts)}
    torch.save(weights, tmp_path / "m.pt")
    torch.save({key: value.bfloat16() for key, value in weights.items()}, tmp_path / "half.pt")
    layers = "".join(f"  '{i}': {{type: Linear, in_features: 2048, out_features: 2048, bias: false}}\n" for i in range(6))
    calls = "".join(f"      x = getattr(self, '{i}')(x)\n" for i in range(6))
    (tmp_path / "a.yaml").write_text("mlc: architecture/1\ninputs: ['x:f32[1,2048]']\nmodules:\n" + layers +
                                     "forward: |\n  def forward(self, x):\n" + calls + "      return x\n")
    plain = peak_mib(mlc, "run", "m.pt", "--arch", "a.yaml")
    cast = peak_mib(mlc, "run", "m.pt", "--arch", "a.yaml", "--dtype", "bf16")
    assert cast < plain, (plain, cast)
    converted = peak_mib(mlc, "run", "half.pt", "--arch", "a.yaml")
    assert converted < plain + 32, (plain, converted)


# --- what people see


def test_complex_values_are_shown_as_such(mlc, tmp_path):
    class Spectrum(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return torch.complex(x, -2 * x)

    torch.jit.script(Spectrum()).save(tmp_path / "m.pt")
    assert "0.5-1j 0.5-1j" in mlc.ok("run", "m.pt", "--input", "x:f32[2]=0.5").stdout


def test_a_cuda_device_that_is_no_number_is_a_usage_error(mlc, models):
    assert "no device is called cuda:x" in fails(mlc, 2, models / "traced.pt", "--input", IMAGE, "--device", "cuda:x")


def test_an_output_that_is_neither_tensor_nor_text_has_a_name(mlc, tmp_path):
    class Device(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return x, x.device

    torch.jit.script(Device()).save(tmp_path / "m.pt")
    assert 'output "output.1" is a Device' in fails_without_hint(mlc, 4, "m.pt", "--input", "x:f32[2]")


class Mixed(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor):
        return x, 3, "some text", y


def test_texts_among_the_outputs_are_shown(mlc, tmp_path, valid):
    """A .pt2 left them out without a word, TorchScript failed with them."""
    torch.jit.script(Mixed()).save(tmp_path / "net.pt")
    two = (torch.randn(2), torch.randn(2))
    torch.export.save(torch.export.export(Mixed(), two), tmp_path / "net.pt2")
    for name in ("net.pt", "net.pt2"):
        command = ("run", name, "--input", "x:f32[2]", "--input", "y:f32[2]")
        answer = mlc.ok(*command, "--json").json
        valid(answer, "run")
        assert answer["texts"] == [{"name": "output.2", "text": "some text"}]
        assert [one["name"] for one in answer["outputs"]] == ["output.0", "output.1", "output.3"]
        written = mlc.ok(*command, "-o", "out.npz", "--force")
        assert re.search(r'output\.2 +str .*"some text"', written.stdout)
        assert 'output "output.2" is a text and not in out.npz' in written.stderr
        assert sorted(np.load(tmp_path / "out.npz")) == ["output.0", "output.1", "output.3"]


class MakesHalf(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.bfloat16)


def test_another_type_is_offered_only_where_it_helps(mlc, tmp_path):
    torch.jit.script(MakesHalf()).save(tmp_path / "made.pt")
    torch.jit.script(torch.nn.Linear(3, 2).bfloat16()).save(tmp_path / "held.pt")
    made = mlc("run", "made.pt", "--input", "x:f32[2,3]", "-o", "out.npz")
    assert made.rc == 4 and "NumPy has no bfloat16" in made.stderr and "--dtype" not in made.stderr
    held = ("run", "held.pt", "-o", "out.npz", "--input")
    refused = mlc(*held, "input:bf16[2,3]")
    assert refused.rc == 4 and "or add --dtype fp32" in refused.stderr
    mlc.ok(*held, "input:f32[2,3]", "--dtype", "fp32")
