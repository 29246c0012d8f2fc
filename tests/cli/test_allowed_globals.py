"""mlc's table of names that weights_only allows is the one of the PyTorch that is installed."""
import _compat_pickle
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytest.importorskip("torch")

HEADER = (ROOT / "lib/mlc/pickle/allowed_globals.h").read_text()
NAMES_TODAY = (ROOT / "lib/mlc/pickle/names_today.cpp").read_text()


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


def test_renamed_modules_are_those_of_python():
    names = {".".join(old): ".".join(new) for old, new in _compat_pickle.NAME_MAPPING.items()}
    modules = rows(NAMES_TODAY, "kModules", r'\{"(.*?)", "(.*?)"\}')
    for old, new in modules:
        of_names = {path.rpartition(".")[0] for name, path in names.items() if name.startswith(old + ".")}
        assert _compat_pickle.IMPORT_MAPPING.get(old) == new or of_names == {new}
    # What leads to a name that weights_only allows has to be there.
    allowed = {name.partition(".")[0] for name in rows(HEADER, "kAllowedGlobals", r'"(.*?)"')}
    assert {old for old, new in _compat_pickle.IMPORT_MAPPING.items() if new in allowed} <= {old for old, _ in modules}


def test_renamed_names_are_those_of_python():
    today = dict(rows(NAMES_TODAY, "kModules", r'\{"(.*?)", "(.*?)"\}'))
    names = {(today.get(module, module), name): ".".join(new) for (module, name), new in _compat_pickle.NAME_MAPPING.items()}
    for old, new in rows(NAMES_TODAY, "kNames", r'\{"(.*?)", "(.*?)"\}'):
        if old != "_functools.reduce":  # what Python 3 pickles for functools.reduce
            assert names[tuple(old.split("."))] == new
