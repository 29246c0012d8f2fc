"""The real binary, run as a user or a script would: $MLC, else build/release/bin/mlc."""

import dataclasses
import json
import os
import pathlib
import pty
import select
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MLC", ROOT / "build/release/bin/mlc")).resolve()


@dataclasses.dataclass
class Result:
    rc: int
    stdout: str
    stderr: str

    @property
    def json(self):
        """stdout as the one JSON object it has to be."""
        return json.loads(self.stdout)

    @property
    def error(self):
        """stderr as the one mlc.error/1 object it has to be; stdout must be empty."""
        assert self.stdout == ""
        error = json.loads(self.stderr)
        assert error["schema"] == "mlc.error/1"
        return error


class Mlc:
    """mlc("load", path) runs it and returns a Result; also in a shell, under a pty, or as a process."""

    binary = BINARY

    def __init__(self, cwd):
        self.cwd = cwd
        self.started = []

    def environment(self, env=None):
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
        return {**clean, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})}

    def __call__(self, *args, cwd=None, env=None, timeout=60, stdin=""):
        done = subprocess.run(
            [self.binary, *map(str, args)], cwd=cwd or self.cwd, env=self.environment(env), timeout=timeout,
            input=stdin.encode(), capture_output=True, check=False)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *args, **kwargs):
        """The same, for runs that must succeed."""
        result = self(*args, **kwargs)
        assert result.rc == 0, result
        return result

    def start(self, *args, cwd=None, env=None):
        """A running process, for signals; a test that fails must not leave it running."""
        process = subprocess.Popen(
            [self.binary, *map(str, args)], cwd=cwd or self.cwd, env=self.environment(env),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        return process

    def end_all(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def shell(self, script, cwd=None, env=None, timeout=60):
        """A line of bash in which $MLC is the binary, with pipefail."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script], cwd=cwd or self.cwd, timeout=timeout, capture_output=True,
            env=self.environment({"MLC": str(self.binary), **(env or {})}), check=False)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def tty(self, *args, cwd=None, env=None, timeout=60):
        """The exit code, and what a terminal of 80 columns gets from stdout and stderr together."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(cwd or self.cwd)
            os.execve(self.binary, [str(self.binary), *map(str, args)], self.environment(env))
        import fcntl, struct, termios  # pylint: disable=import-outside-toplevel,multiple-imports
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        text, deadline = b"", time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # the process has gone
                break
            if not chunk:
                break
            text += chunk
        os.close(terminal)
        status = os.waitpid(pid, 0)[1]
        return os.waitstatus_to_exitcode(status), text.decode().replace("\r\n", "\n")

    def verbs(self):
        """All verbs of the table, as `mlc man` is offered them."""
        section = self.ok("completion", "fish").stdout
        prefix = "complete -c mlc -n '__fish_seen_subcommand_from help' -f -a "
        line = next(line for line in section.splitlines() if line.startswith(prefix))
        return line[len(prefix):].strip("'").split()


@pytest.fixture
def mlc(tmp_path):
    """Runs in tmp_path unless told otherwise."""
    if not BINARY.exists():
        pytest.fail(f"{BINARY} is not built; run cmake --build --preset release, or set MLC")
    runner = Mlc(tmp_path)
    yield runner
    runner.end_all()


@pytest.fixture(scope="session")
def engine():
    """What `mlc doctor` says of LibTorch; tests that need it are skipped only where a build lacks it on purpose."""
    done = subprocess.run([BINARY, "doctor", "--json"], capture_output=True, check=True)
    found = json.loads(done.stdout)["libtorch"]
    if not found["found"]:
        if os.environ.get("MLC_SANITIZED") or os.environ.get("MLC_WITHOUT_TORCH"):
            pytest.skip(f"this build has no LibTorch: {found['problem']}")
        pytest.fail(f"{found['problem']}; MLC_WITHOUT_TORCH=1 skips these tests")
    return found


@pytest.fixture(scope="session")
def onnxruntime_engine():
    """What `mlc doctor` says of ONNX Runtime; as `engine`, skipped only where a build lacks it on purpose."""
    done = subprocess.run([BINARY, "doctor", "--json"], capture_output=True, check=True)
    found = json.loads(done.stdout)["onnxruntime"]
    if "providers" not in found:
        if os.environ.get("MLC_SANITIZED") or os.environ.get("MLC_WITHOUT_ORT"):
            pytest.skip(f"this build has no ONNX Runtime: {found['problem']}")
        pytest.fail(f"{found['problem']}; MLC_WITHOUT_ORT=1 skips these tests")
    return found


@pytest.fixture(scope="session")
def onnx_checker():
    """What `mlc doctor` says of ONNX; as `engine`, skipped only where a build lacks it on purpose."""
    done = subprocess.run([BINARY, "doctor", "--json"], capture_output=True, check=True)
    found = json.loads(done.stdout)["onnx"]
    if not found["found"]:
        if os.environ.get("MLC_SANITIZED") or os.environ.get("MLC_WITHOUT_ONNX"):
            pytest.skip(f"this build has no ONNX: {found['problem']}")
        pytest.fail(f"{found['problem']}; MLC_WITHOUT_ONNX=1 skips these tests")
    return found


@pytest.fixture
def script(tmp_path):
    import torch  # pylint: disable=import-outside-toplevel
    path = tmp_path / "script.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    return path


@pytest.fixture
def exported(tmp_path):
    import torch  # pylint: disable=import-outside-toplevel
    path = tmp_path / "exported.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)), path)
    return path


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


def check_schema(instance, name):
    """Validates against schemas/NAME.schema.json."""
    import jsonschema  # pylint: disable=import-outside-toplevel
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.validate(instance, schema, cls=jsonschema.Draft202012Validator)


@pytest.fixture(scope="session")
def valid():
    """valid(object, "load") fails unless the object fits schemas/load.schema.json."""
    return check_schema
