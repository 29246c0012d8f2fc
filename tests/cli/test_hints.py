"""What messages say is true, and the commands they recommend do what they promise."""

import re
import shlex

import torch

from checkpoints import write


def command_in(text):
    """The arguments of the mlc command that TEXT recommends."""
    return shlex.split(re.search(r"`mlc ([^`]*)`", text).group(1))


def tensors(**values):
    return {name.replace("_", "."): torch.full((2,), float(value)) for name, value in values.items()}


def test_commands_in_hints_survive_spaces_in_file_names(mlc, tmp_path):
    write(tmp_path / "my run.pt", {"w": torch.ones(1)})
    (tmp_path / "my run.pt").rename(tmp_path / "it's mine.pt")
    done = mlc("validate-version", "it's mine.pt", "--requires", "other>=1")
    assert command_in(done.stderr)[:2] == ["metadata", "it's mine.pt"]
    write(tmp_path / "ddp run.pt", {"module.w": torch.ones(1)})
    mlc.ok(*command_in(mlc("diff", "ddp run.pt", "it's mine.pt").stderr))
    mlc.ok("diff", "stripped.pt", "it's mine.pt")


def test_pytorch_is_taken_for_a_slip_of_torch(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    done = mlc("validate-version", "a.pt", "--requires", "pytorch>=2.0")
    assert done.rc == 2 and "did you mean torch>=2.0?" in done.stderr
