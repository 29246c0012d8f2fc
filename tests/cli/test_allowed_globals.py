"""mlc's table of names that weights_only allows is the one of the PyTorch that is installed."""
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytest.importorskip("torch")

HEADER = (ROOT / "lib/mlc/pickle/allowed_globals.h").read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The table of a PyTorch of its own: what other tests import makes torch allow more names."""
    path = tmp_path_factory.mktemp("table") / "allowed_globals.h"
    subprocess.run([sys.executable, ROOT / "tests/unit/pickle/make_allowed_globals.py", path], check=True)
    return path.read_text()


def rows(header, table, pattern):
    return re.findall(pattern, re.search(table + r"\[\] = \{(.*?)\};", header, re.S).group(1))


def test_table_is_that_of_torch(written):
    names = rows(HEADER, "kAllowedGlobals", r'"(.*?)"')
    assert len(names) > 100 and names == rows(written, "kAllowedGlobals", r'"(.*?)"')


def test_renamed_modules_are_those_of_torch(written):
    modules = rows(HEADER, "kRenamedModules", r'\{"(.*?)", "(.*?)"\}')
    assert modules and modules == rows(written, "kRenamedModules", r'\{"(.*?)", "(.*?)"\}')
