"""Every lowering against PyTorch, on the calls that PyTorch's own authors test its operators with.

Here the fixed subset runs, with MLC_OPS=all every call. `run_ops.py --update` writes scores.json anew.
"""

import os
import pathlib
import sys

import onnxruntime
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

torch = pytest.importorskip("torch")

import differ  # noqa: E402
import op_samples  # noqa: E402
import scores  # noqa: E402

BUILD = differ.BINARY.parents[1] if differ.BINARY.parent.name == "bin" else pathlib.Path("build")
VERSIONS = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
ALL = os.environ.get("MLC_OPS") == "all"
PART = "raw-all" if ALL else "raw-subset"

pytestmark = pytest.mark.skipif(bool(os.environ.get("MLC_SANITIZED") or os.environ.get("MLC_WITHOUT_ONNX")),
                                reason="this build has no ONNX")


def operators():
    names = {}
    for name, dtype in scores.scores(PART)[0]:
        names.setdefault(name, []).append(dtype)
    return sorted(names.items())


@pytest.mark.parametrize("name, dtypes", operators(), ids=lambda value: value if isinstance(value, str) else "")
def test_operator_as_pytorch_computes_it(name, dtypes, capsys):
    reached, versions = scores.scores(PART)
    problems = []
    for dtype in dtypes:
        case = op_samples.cases().get((name, dtype))
        if case is None:  # another PyTorch
            continue
        score = reached[name, dtype]
        same = versions == VERSIONS
        wanted = range(len(case.calls)) if ALL else case.subset
        numbers = [n for n in wanted if not (same and n in score.left_out)]
        outcomes = [vars(one) for one in differ.Judge(case, "raw", BUILD).judge(numbers, score.failing)]
        for one in scores.unexplained(name, dtype, outcomes):
            problems.append(f"{dtype} #{one['index']} ({one['text']}): {one['verdict']}: {one['reason']}")
        now = scores.Score.of(outcomes)
        if same and now.passed < score.passed:
            problems.append(f"{dtype}: {now.passed} of {now.total} passed, but {score.passed} did before")
    assert not problems, "\n".join(problems)


def test_most_calls_of_known_operators_pass():
    reached, _ = scores.scores(PART)
    if not reached:
        pytest.skip("there are no scores: run_ops.py --update")
    passed = sum(score.passed for score in reached.values())
    total = sum(score.total for score in reached.values())
    assert total > 3000
    assert passed >= 0.95 * total
