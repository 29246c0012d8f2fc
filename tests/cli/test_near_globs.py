"""Globs that match no key: what the warning says to give in place of them."""

import pytest
import torch

from checkpoints import write


@pytest.mark.parametrize("glob, near", [
    ("fc.*", '"module.fc.*" matches module.fc.weight'), ("fc", '"module.fc.*" matches module.fc.weight'),
    ("module.head", '"module.head.*" matches module.head.weight'), ("module.he", '"module.he*" matches module.head.weight')])
def test_a_glob_that_matches_no_key_is_answered_with_one_that_does(mlc, tmp_path, glob, near):
    """--exclude 'fc.*' of a file of DataParallel wrote the head that it meant to leave out."""
    write(tmp_path / "a.pt", {"model": {"module.fc.weight": torch.ones(2, 2), "module.head.weight": torch.zeros(2)}})
    for option in ("--exclude", "--include"):
        assert f'{option} "{glob}" matches no key; {near}\n' in mlc("save", "a.pt", option, glob, "-n").stderr
    done = mlc("load", "a.pt", "--include", glob)
    assert done.rc == 2 and f"hint: a glob is of the whole key: {near}\n" in done.stderr


def test_a_glob_for_a_module_that_lies_deeper_is_answered_with_a_star(mlc, tmp_path):
    write(tmp_path / "a.pt", {"a.fc.weight": torch.ones(1), "b.fc.weight": torch.ones(1)})
    assert '"*.fc.*" matches a.fc.weight\n' in mlc("save", "a.pt", "--exclude", "fc.*", "-n").stderr
