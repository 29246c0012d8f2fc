"""mlc's table of names that weights_only allows is the one of the PyTorch that is installed."""
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit/pickle"))

pytest.importorskip("torch")
import make_allowed_globals  # noqa: E402

HEADER = (ROOT / "lib/mlc/pickle/allowed_globals.h").read_text()


def test_table_is_that_of_torch():
    names = re.search(r"kAllowedGlobals\[\] = \{(.*?)\};", HEADER, re.S).group(1)
    assert re.findall(r'"(.*?)"', names) == make_allowed_globals.allowed()


def test_renamed_modules_are_those_of_torch():
    rows = re.search(r"kRenamedModules\[\] = \{(.*?)\};", HEADER, re.S).group(1)
    assert re.findall(r'\{"(.*?)", "(.*?)"\}', rows) == list(make_allowed_globals.renamed_modules())
