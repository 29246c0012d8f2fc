"""Runs calls through mlc and ONNX Runtime and compares with what PyTorch gives.

`judge()` puts all calls of a case into one program; where something goes wrong it parts them until it is clear which
calls it is.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess

import numpy
import onnxruntime
import torch

from op_samples import Program, cache_folder, expected, write_program

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MLC", ROOT / "build/release/bin/mlc")).resolve()
ATOL, RTOL = 1e-5, 1e-4

# How a call ended.
PASSED = "passed"
WRONG = "wrong"  # other values, dtypes or sizes
REFUSED = "refused"  # mlc says that it cannot
UNKNOWN = "unknown"  # mlc does not know an operator, or knows that it has no form in ONNX, whatever its arguments
INVALID = "invalid"  # ONNX Runtime does not take the model
CRASHED = "crashed"  # mlc ended as it must not
UNEXPORTED = "unexported"  # PyTorch cannot write it: says nothing of mlc
COUNTED = (PASSED, WRONG, REFUSED, INVALID, CRASHED)


@dataclasses.dataclass
class Outcome:
    index: int
    text: str
    verdict: str
    reason: str = ""
    program: str = ""  # the file that showed it, with other calls perhaps; empty where there is none
    place: int = 0  # of the call among those of the program
    outputs: int = 0


# Which of equal elements is meant is not said: other indices are right where they lead to the same values.
TIES = re.compile(r"(topk|kthvalue|sort|argsort|msort|median|nanmedian|mode|max\.reduction_with_dim|min\.reduction_with_dim)"
                  r"|.*cummax|.*cummin|.*max_pool\dd")


def leads_to_same(case, call, ours, theirs):
    """Whether both index the first tensor of the call to the same values."""
    if not TIES.match(case.name) or ours.dtype != numpy.int64 or ours.shape != theirs.shape:
        return False
    data = call.tensors[0].numpy()
    axis = next((leaf for leaf in call.dims if isinstance(leaf, int)), -1)
    if data.ndim == 0 or ours.ndim not in (data.ndim, data.ndim - 1):
        return False
    if ours.ndim < data.ndim:
        ours, theirs = numpy.expand_dims(ours, axis), numpy.expand_dims(theirs, axis)
    if (ours < 0).any() or (ours >= data.shape[axis]).any():
        return False
    one, other = (numpy.take_along_axis(data, indices, axis) for indices in (ours, theirs))
    return bool(numpy.array_equal(one, other, equal_nan=data.dtype.kind == "f"))


def compare(ours, theirs, undefined=False):
    """Empty where they are the same, else what differs."""
    if ours.dtype != theirs.dtype:
        return f"dtype {ours.dtype}, not {theirs.dtype}"
    if ours.shape != theirs.shape:
        return f"shape {list(ours.shape)}, not {list(theirs.shape)}"
    if undefined or ours.size == 0:
        return ""
    if ours.dtype.kind in "fc":
        with numpy.errstate(invalid="ignore", over="ignore"):
            same = numpy.isclose(ours, theirs, atol=ATOL, rtol=RTOL, equal_nan=True)
    else:
        same = ours == theirs
    if same.all():
        return ""
    first = numpy.argwhere(~same)[0] if ours.ndim else ()
    at = tuple(int(i) for i in first)
    return f"{int((~same).sum())} of {ours.size} values differ: {ours[at]!r}, not {theirs[at]!r} at {list(at)}"


def session(model, optimised):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Judge:
    def __init__(self, case, mode, build, exporter="mlc"):
        self.case, self.mode, self.exporter = case, mode, exporter
        self.folder = cache_folder(build)
        self.expected = {}
        self.outcomes = {}

    def note(self, calls, verdict, reason="", program=""):
        for place, call in enumerate(calls):
            outputs = len(self.expected[call.index].outputs)
            self.outcomes[call.index] = Outcome(call.index, call.text, verdict, reason, program, place, outputs)

    def path(self, calls):
        names = f"{self.case.name}/{self.case.dtype}/{self.mode}/{[call.index for call in calls]}"
        place = self.folder / hashlib.sha256(names.encode()).hexdigest()[:24]
        return place.with_suffix(".pt" if self.mode == "script" else ".pt2")

    def program(self, calls):
        """The file, or the reason why PyTorch cannot write it."""
        path = self.path(calls)
        failed = path.with_suffix(".failed")
        if failed.exists():
            return None, failed.read_text()
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}{path.suffix}")
            try:
                write_program(calls, self.mode, partial)
                partial.rename(path)
            except Exception as error:  # noqa: BLE001: whatever torch.export raises
                partial.unlink(missing_ok=True)
                reason = (str(error).strip() or repr(error)).splitlines()[0][:200]
                failed.write_text(reason)
                return None, reason
        return path, ""

    def part(self, calls, verdict, reason):
        """Looks at both halves, where there are two."""
        if len(calls) == 1:
            return self.note(calls, verdict, reason, self.path(calls).name)
        # Where mlc lacks the operator, a few calls tell of all.
        if verdict in (UNKNOWN, UNEXPORTED) and len(calls) > 8:
            tried = calls[:: len(calls) // 4][:4]
            for call in tried:
                self.run([call])
            same = all(self.outcomes[call.index].verdict == verdict for call in tried)
            rest = [call for call in calls if call not in tried]
            return self.note(rest, verdict, reason) if same else self.run(rest)
        middle = len(calls) // 2
        self.run(calls[:middle])
        self.run(calls[middle:])

    def run(self, calls):
        if not calls:
            return None
        make = self.make_with_mlc if self.exporter == "mlc" else self.make_with_torch
        model, verdict, reason = make(calls)
        if model is None:
            return self.part(calls, verdict, reason)
        return self.run_model(calls, model)

    def make_with_mlc(self, calls):
        """The bytes of a model, or a verdict with its reason."""
        path, reason = self.program(calls)
        if path is None:
            return None, UNEXPORTED, reason
        model = path.with_suffix(f".{os.getpid()}.onnx")
        inputs = path.with_suffix(f".{os.getpid()}.npz")
        try:
            given = self.given(calls, path, inputs) if self.mode == "script" else []
            done = subprocess.run(
                [BINARY, "export-onnx", path, "-o", model, "--no-verify", "--force", "--json", "--threads", "1", *given],
                capture_output=True, timeout=120, check=False)
            if done.returncode != 0:
                return None, *verdict_of(done)
            return model.read_bytes(), PASSED, ""
        except subprocess.TimeoutExpired:
            return None, CRASHED, "mlc does not end"
        finally:
            model.unlink(missing_ok=True)
            inputs.unlink(missing_ok=True)

    def given(self, calls, path, archive):
        """TorchScript does not say which inputs it takes: those of the calls, in ARCHIVE."""
        names = [one.name for one in torch.jit.load(path).forward.schema.arguments[1:]]
        values = [array for call in calls for array in self.expected[call.index].inputs]
        numpy.savez(archive, **dict(zip(names, values)))
        return [word for name in names for word in ("--input", f"{name}=@{archive}")]

    def make_with_torch(self, calls):
        """The same with PyTorch's own exporters. Calls that torch.export cannot write do not count for them either."""
        path, reason = self.program(calls)
        if path is None:
            return None, UNEXPORTED, reason
        module = Program(calls).eval()
        tensors = tuple(tensor.clone() for call in calls for tensor in call.tensors)
        model = path.with_suffix(f".{os.getpid()}.onnx")
        try:
            with torch.no_grad():
                if self.exporter == "dynamo":
                    torch.onnx.export(module, tensors, model, dynamo=True, external_data=False, verbose=False)
                else:
                    torch.onnx.export(module, tensors, str(model), dynamo=False, opset_version=18)
            return model.read_bytes(), PASSED, ""
        except Exception as error:  # noqa: BLE001: whatever they raise
            return None, REFUSED, (str(error).strip() or repr(error)).splitlines()[0][:200]
        finally:
            model.unlink(missing_ok=True)

    def run_model(self, calls, model):
        results = []
        for optimised in (True, False):
            try:
                made = session(model, optimised)
                inputs = [array for call in calls for array in self.expected[call.index].inputs]
                names = self.input_names(made, inputs)
                results.append(made.run(None, names))
            except Exception as error:  # noqa: BLE001: ONNX Runtime has many
                return self.part(calls, INVALID, short_reason(error))
        self.note(calls, PASSED, program=self.path(calls).name)
        for result in results:
            at = 0
            for call in calls:
                theirs = self.expected[call.index].outputs
                self.judge_call(call, result[at:at + len(theirs)], theirs)
                at += len(theirs)
        return None

    def input_names(self, made, inputs):
        # Inputs that nothing reads may be gone: what is left has its number in its name.
        names = [one.name for one in made.get_inputs()]
        if len(names) == len(inputs):
            return dict(zip(names, inputs))
        return {name: inputs[int(re.search(r"(\d+)$", name)[1])] for name in names}

    def judge_call(self, call, ours, theirs):
        if len(ours) != len(theirs):
            return self.note_wrong(call, f"{len(ours)} outputs, not {len(theirs)}")
        for one, other in zip(ours, theirs):
            reason = compare(one, other, self.case.is_undefined(call))
            if reason and not leads_to_same(self.case, call, one, other):
                return self.note_wrong(call, reason)
        return None

    def note_wrong(self, call, reason):
        outcome = self.outcomes[call.index]
        outcome.verdict, outcome.reason = WRONG, reason

    def judge(self, numbers, alone=()):
        """NUMBERS of calls; those in ALONE get a program of their own from the start."""
        wanted = [self.case.calls[number] for number in numbers]
        ready = []
        for call in wanted:
            self.expected[call.index] = expected(call)
            if self.expected[call.index].error:
                self.note([call], UNEXPORTED, self.expected[call.index].error)
            else:
                ready.append(call)
        self.run([call for call in ready if call.index not in alone])
        for call in ready:
            if call.index in alone:
                self.run([call])
        return [self.outcomes[call.index] for call in wanted]


WITHOUT_FORM = r": no lowering$|: no lowering of its overload|ONNX has no such function|factors or solves matrices"


def verdict_of(done):
    text = done.stderr.decode(errors="replace")
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError):
        return CRASHED, f"exit {done.returncode}: {text[:300]}"
    if done.returncode != 4:
        return CRASHED, f"exit {done.returncode}: {message[:300]}"
    # "  1 x aten::svd: no lowering, first at model.py:3"
    problems = re.findall(r"^  \d+ x (.*?)(?:, first (?:at|in) .*)?$", message, re.MULTILINE) or [message.splitlines()[0]]
    missing = any(re.search(WITHOUT_FORM, problem) for problem in problems)
    return (UNKNOWN if missing else REFUSED), "; ".join(problems)[:300]


def short_reason(error):
    text = str(error).strip().replace("\n", " ")
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return text[:300]
