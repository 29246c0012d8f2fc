"""Every lowering against PyTorch, on the calls that PyTorch's own authors test its operators with.

Here a part of the fixed subset runs, with MLC_ALL=1 every call. `run_ops.py --update` writes scores.json anew.
"""

import os
import pathlib
import re
import sys

import onnxruntime
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

torch = pytest.importorskip("torch")

import differ  # noqa: E402
import op_samples  # noqa: E402
import scores  # noqa: E402
import tested  # noqa: E402
from extent import ALL, part  # noqa: E402

BUILD = differ.BINARY.parents[1] if differ.BINARY.parent.name == "bin" else pathlib.Path("build")
VERSIONS = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
EXTENT = "all" if ALL else "subset"

pytestmark = pytest.mark.skipif(bool(os.environ.get("MLC_SANITIZED") or os.environ.get("MLC_WITHOUT_ONNX")),
                                reason="this build has no ONNX")


# How the programs are written: by torch.export, after run_decompositions(), by torch.jit.trace. One in so many is tested.
MODES = {"raw": 4, "core": 8, "script": 8}


def table_of(mode):
    return f"raw-{EXTENT}" if mode == "raw" else f"{mode}-subset"


def operators():
    found = []
    for mode, of in MODES.items():
        names = {}
        # Where no run of every call was recorded, all of them count, without a score that they have to keep.
        for name, dtype in scores.scores(table_of(mode))[0] or op_samples.cases():
            names.setdefault(name, []).append(dtype)
        found += [pytest.param(mode, name, names[name], id=f"{name}-{mode}") for name in part(sorted(names), of)]
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode, name, dtypes", operators())
def test_operator_as_pytorch_computes_it(mode, name, dtypes):
    table = table_of(mode)
    reached, versions = scores.scores(table)
    problems = []
    for dtype in dtypes:
        case = op_samples.cases().get((name, dtype))
        if case is None:  # another PyTorch
            continue
        score = reached.get((name, dtype), scores.Score(0, 0, [], []))
        same = versions == VERSIONS
        wanted = range(len(case.calls)) if table.endswith("all") else case.subset
        numbers = [n for n in wanted if not (same and n in score.left_out)]
        outcomes = [vars(one) for one in differ.Judge(case, mode, BUILD).judge(numbers, score.failing)]
        for one in scores.unexplained(name, dtype, outcomes):
            problems.append(f"{dtype} #{one['index']} ({one['text']}): {one['verdict']}: {one['reason']}")
        now = scores.Score.of(outcomes)
        if same and now.passed < score.passed:
            problems.append(f"{dtype}: {now.passed} of {now.total} passed, but {score.passed} did before")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("table, least", [("raw-subset", 5000), ("core-subset", 2500), ("script-subset", 5000)])
def test_most_calls_of_known_operators_pass(table, least):
    reached, _ = scores.scores(table)
    passed = sum(score.passed for score in reached.values())
    total = sum(score.total for score in reached.values())
    assert total > least
    assert passed >= 0.95 * total, f"{passed} of {total}"


def test_the_table_of_list_ops_is_of_this_mlc():
    """Its rows come from run_ops.py --update; operators that went, or a table of another time, would show."""
    operators = {one["name"]: one for one in tested.listed()}
    rows = re.findall(r'^\{"([^"]+)", (\d+), (\d+), (\d+), (\d+)\},$', tested.TABLE.read_text(), re.MULTILINE)
    assert len(rows) == tested.TABLE.read_text().count("\n") > 400
    for name, *numbers in rows:
        passed, calls, opset, opset_of_all = map(int, numbers)
        assert passed <= calls and opset <= opset_of_all
        assert operators[name]["passed"] == passed and operators[name]["calls"] == calls
    assert sum(int(row[1]) for row in rows) > 0.95 * sum(int(row[2]) for row in rows)


def test_operators_are_read_off_the_outputs_of_a_program(tmp_path):
    class Two(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x).add_(1), torch.tanh(x.t())

    with torch.no_grad():
        torch.export.save(torch.export.export(Two(), (torch.ones(2, 2),), strict=False), tmp_path / "p.pt2")
    assert tested.operators_of_outputs(tmp_path / "p.pt2") == [
        {"aten::relu", "aten::add_"}, {"aten::t", "aten::tanh"}]
    assert tested.Counts({"aten::add"}).name("aten::add_") == "aten::add"
