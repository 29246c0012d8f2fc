"""What existed is never at risk: every write may fail and every moment may be the last one.

fault/fault_injection.c fails, tears or kills at the N-th call of a kind; each test goes through all N
until a run gets past the last one.
"""

import errno
import fcntl
import os
import pathlib
import resource
import shutil
import signal
import stat
import subprocess
import time

import numpy
import pytest
import torch

SOURCE = pathlib.Path(__file__).parent / "fault/fault_injection.c"
RULES = ["--drop", "module.layer4*", "--regex", r"s/^module\.//"]  # not only names: a new file is built
KINDS = ["create", "write", "copy", "sync", "link", "rename", "truncate"]
KILLS = [*((kind, "kill") for kind in KINDS), ("write", "tear"), ("copy", "tear")]
ERRORS = [errno.ENOSPC, errno.EIO]
MOST_CALLS = 60
kills = pytest.mark.skipif("MLC_SANITIZED" in os.environ, reason="a killed process reports nothing to a sanitizer")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The shim, compiled once."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the fault injection library")
    out = tmp_path_factory.mktemp("fault") / "fault_injection.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", out, SOURCE, "-ldl"], check=True)
    return out


def make_tensors(prefix, seed):
    torch.manual_seed(seed)
    # One storage that is copied by the threads, several that go through the buffer, one tied pair.
    tensors = {f"{prefix}layer{i}.weight": torch.randn(20 + i, 7) for i in range(5)}
    tensors[f"{prefix}big.weight"] = torch.randn(300, 200)
    tensors[f"{prefix}tied.weight"] = tensors[f"{prefix}layer0.weight"]
    return tensors


def same(path, expected):
    """Whether PyTorch reads EXPECTED from the file, in both of its ways."""
    for mmap in (False, True):
        got = torch.load(path, weights_only=True, mmap=mmap)
        if list(got) != list(expected) or not all(torch.equal(got[k], expected[k]) for k in expected):
            return False
    return True


class Case:
    """A folder with an input, and how a verb writes there."""

    def __init__(self, mlc, library, folder, verb):
        self.mlc, self.library, self.folder, self.verb = mlc, library, folder, verb
        self.old, self.new = make_tensors("module.", 1), make_tensors("", 1)
        if verb == "remap-keys":
            del self.new["layer4.weight"]
        self.other = make_tensors("other.", 2)
        self.input = folder / "in.pt"
        self.output = folder / "out.pt"
        self.mark = folder.parent / "mark"
        self.reset()

    def reset(self):
        for path in self.folder.iterdir():
            path.unlink()
        torch.save(self.old, self.input)

    def arguments(self, *flags):
        if self.verb == "remap-keys":
            return [self.verb, self.input, *RULES, *flags]
        return [self.verb, self.input, *flags]

    def environment(self, fault, no_tmpfile=False):
        self.mark.unlink(missing_ok=True)
        env = {"LD_PRELOAD": str(self.library), "MLC_FAULT": fault, "MLC_FAULT_LOG": str(self.mark),
               "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
        return {**env, "MLC_NO_TMPFILE": "1"} if no_tmpfile else env

    def run(self, fault, *flags, no_tmpfile=False):
        """The result, and whether the fault happened."""
        result = self.mlc(*self.arguments(*flags), env=self.environment(fault, no_tmpfile))
        return result, self.mark.exists()

    def new_content(self):
        return self.old if self.verb == "save" else self.new

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture(params=["strip-module-prefix", "remap-keys", "save"])
def case(request, mlc, library, tmp_path):
    if request.param not in mlc.verbs():
        pytest.skip(f"{request.param} is not there")
    folder = tmp_path / "folder"
    folder.mkdir()
    return Case(mlc, library, folder, request.param)


def every_call(case, kind, action, *flags, prepare=lambda: None, **options):
    """Runs with the fault at call 1, 2, ... and yields each result, until a run has no such call."""
    for n in range(1, MOST_CALLS):
        case.reset()
        prepare()
        result, happened = case.run(f"{kind}:{n}:{action}", *flags, **options)
        if not happened:
            assert result.rc == 0, result
            return
        yield n, result
    pytest.fail(f"more than {MOST_CALLS} calls of {kind}")


def expect_write_error(result, path):
    assert result.rc == 5, result
    assert result.stdout == ""
    assert f"mlc: error: {path}: " in result.stderr, result.stderr


# --- a new file


@pytest.mark.parametrize("no_tmpfile", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("error", ERRORS, ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("kind", ["create", "write", "copy", "link", "rename"])
def test_error_while_writing_a_new_file(case, kind, error, no_tmpfile):
    for _, result in every_call(case, kind, error, "-o", case.output, no_tmpfile=no_tmpfile):
        expect_write_error(result, case.output)
        assert case.names() == ["in.pt"]
    assert same(case.output, case.new_content())
    assert case.names() == ["in.pt", "out.pt"]


@pytest.mark.parametrize("kind", ["sync", "write"])
def test_error_with_sync(case, kind):
    for _, result in every_call(case, kind, errno.EIO, "-o", case.output, "--sync"):
        expect_write_error(result, case.output)
        # Syncing the folder comes after the name: then the file is there, whole.
        assert case.names() == ["in.pt"] or same(case.output, case.new_content())


@kills
@pytest.mark.parametrize("kind, action", KILLS)
def test_kill_while_writing_a_new_file(case, kind, action):
    for _, result in every_call(case, kind, action, "-o", case.output):
        assert result.rc == -signal.SIGKILL
        assert case.names() in (["in.pt"], ["in.pt", "out.pt"])
        assert not case.output.exists() or same(case.output, case.new_content())


def test_short_writes_and_unsupported_copies_are_no_errors(case):
    for kind, action in [("write", "short"), ("copy", "short"), ("copy", errno.EXDEV), ("copy", errno.EINTR),
                         ("write", errno.EINTR), ("copy", errno.EOPNOTSUPP)]:
        for _, result in every_call(case, kind, action, "-o", case.output):
            assert result.rc == 0, result
            assert same(case.output, case.new_content())


def test_a_write_that_never_gets_on_ends(case):
    for _, result in every_call(case, "write", "zero", "-o", case.output):
        expect_write_error(result, case.output)


# --- replacing a file


def replace_cases(case, kind, action, **options):
    def prepare():
        torch.save(case.other, case.output)
    for n, result in every_call(case, kind, action, "-o", case.output, "--force", prepare=prepare, **options):
        yield n, result


@pytest.mark.parametrize("no_tmpfile", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("error", ERRORS, ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("kind", KINDS)
def test_error_while_replacing(case, kind, error, no_tmpfile):
    syncs = 0
    for n, result in replace_cases(case, kind, error, no_tmpfile=no_tmpfile):
        expect_write_error(result, case.output)
        assert case.names() == ["in.pt", "out.pt"]
        if kind == "sync" and n == 2:  # the folder, after the rename
            assert same(case.output, case.new_content())
        else:
            assert same(case.output, case.other)
        syncs = n
    if kind == "sync":
        assert syncs == 2  # file and folder
    assert same(case.output, case.new_content())
    assert case.names() == ["in.pt", "out.pt"]


@pytest.mark.parametrize("no_tmpfile", [False, True], ids=["unnamed", "named"])
@kills
@pytest.mark.parametrize("kind, action", KILLS)
def test_kill_while_replacing(case, kind, action, no_tmpfile):
    for _, result in replace_cases(case, kind, action, no_tmpfile=no_tmpfile):
        assert result.rc == -signal.SIGKILL
        assert same(case.output, case.other) or same(case.output, case.new_content())
        # SIGKILL between naming and renaming leaves the temporary; without O_TMPFILE, any SIGKILL does.
        left = set(case.names()) - {"in.pt", "out.pt"}
        assert left <= {".out.pt.mlc-0.tmp"}
        assert not left or no_tmpfile or kind == "rename"
        # The next run with this output removes what a dead one left.
        case.mlc.ok(*case.arguments("-o", case.output, "--force"))
        assert case.names() == ["in.pt", "out.pt"]
        assert same(case.output, case.new_content())


def test_the_temporary_of_a_living_process_stays(case):
    """Two runs with one output: neither takes the other's file away, the last one wins."""
    torch.save(case.other, case.output)
    first = case.mlc.start(*case.arguments("-o", case.output, "--force"), env=case.environment("rename:1:stall"))
    wait_for(case.mark)
    temporary = case.folder / ".out.pt.mlc-0.tmp"
    assert temporary.exists()
    case.mlc.ok(*case.arguments("-o", case.output, "--force"))
    assert temporary.exists()
    first.kill()
    first.communicate()
    case.mlc.ok(*case.arguments("-o", case.output, "--force"))
    assert case.names() == ["in.pt", "out.pt"]


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, os.mkfifo, lambda p: p.symlink_to("in.pt"),
                                  lambda p: p.write_text("mine") and p.chmod(0)],
                         ids=["folder", "fifo", "link", "file"])
def test_foreign_things_with_the_temporary_name(case, make):
    """Whatever has the name already: it does not hang or harm, and the input stays."""
    torch.save(case.other, case.output)
    make(case.folder / ".out.pt.mlc-0.tmp")
    for no_tmpfile in (False, True):
        result, _ = case.run("none:1:kill", "-o", case.output, "--force", no_tmpfile=no_tmpfile)
        assert result.rc == 0, result
        assert same(case.output, case.new_content())
        assert same(case.input, case.old)


# --- in place


@pytest.fixture(params=["zip", "legacy"])
def in_place(request, case, monkeypatch):
    """The file itself is appended to where only names change in a zip, else it is replaced."""
    if case.verb == "save":
        pytest.skip("save keeps the content: old and new are the same")
    legacy = request.param == "legacy"

    def reset():
        for path in case.folder.iterdir():
            path.unlink()
        torch.save(case.old, case.input, _use_new_zipfile_serialization=not legacy)
    monkeypatch.setattr(case, "reset", reset)
    case.legacy = legacy
    case.appends = not legacy and case.verb == "strip-module-prefix"
    return case


def shows(case, expected):
    if case.legacy and expected is case.old:
        got = torch.load(case.input, weights_only=True)
        return list(got) == list(expected) and all(torch.equal(got[k], expected[k]) for k in expected)
    return same(case.input, expected)


def shows_old_or_new(case):
    keys = list(torch.load(case.input, weights_only=True))
    return shows(case, case.old if keys == list(case.old) else case.new)


@pytest.mark.parametrize("error", ERRORS, ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("kind", KINDS)
def test_error_in_place(in_place, kind, error):
    for _, result in every_call(in_place, kind, error, "--in-place"):
        expect_write_error(result, in_place.input)
        assert in_place.names() == ["in.pt"]
        assert shows_old_or_new(in_place)
    assert shows(in_place, in_place.new)
    assert in_place.names() == ["in.pt"]


def test_error_in_place_leaves_the_same_bytes(in_place):
    if not in_place.appends:
        pytest.skip("the file is replaced")
    before = in_place.input.read_bytes()
    for kind in ("write", "sync"):
        count = 0
        for n, result in every_call(in_place, kind, errno.ENOSPC, "--in-place"):
            expect_write_error(result, in_place.input)
            assert in_place.input.read_bytes() == before
            count = n
        assert count >= 3  # the three steps of checkpoint-formats 9.4


@kills
@pytest.mark.parametrize("kind, action", KILLS)
def test_kill_in_place(in_place, kind, action):
    for _, result in every_call(in_place, kind, action, "--in-place"):
        assert result.rc == -signal.SIGKILL
        assert shows_old_or_new(in_place)
        # It can be run again; only rules that match nothing any more are an error.
        in_place.mlc("strip-module-prefix", in_place.input, "--in-place")
        if in_place.verb == "remap-keys" and not shows(in_place, in_place.new):
            in_place.mlc.ok("remap-keys", in_place.input, "--in-place", "--drop", "layer4*")
        assert shows(in_place, in_place.new)
        assert in_place.names() == ["in.pt"]


def test_in_place_when_the_undo_fails_too(in_place):
    """The disk is full and the file cannot be cut: it has grown, but it is whole and says so."""
    if not in_place.appends:
        pytest.skip("the file is replaced")
    result, happened = in_place.run("sync:2:5", "--in-place")
    assert (result.rc, happened) == (5, True)
    assert shows(in_place, in_place.old)


# --- Ctrl-C


def wait_for(path):
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("no_tmpfile", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("fault", ["write:1:stall", "rename:1:stall", "sync:1:stall"])
def test_interrupt_removes_the_temporary(case, fault, number, no_tmpfile):
    torch.save(case.other, case.output)
    process = case.mlc.start(*case.arguments("-o", case.output, "--force"),
                             env=case.environment(fault, no_tmpfile))
    wait_for(case.mark)
    time.sleep(0.7)  # nobody has asked for half a second: the handler ends it
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert err == b"mlc: interrupted\n"
    assert case.names() == ["in.pt", "out.pt"]
    assert same(case.output, case.other)


# --- what the system refuses without any help


def without_override(mlc, arguments, **options):
    """Runs mlc as root without the right to pass over permissions."""
    command = [str(mlc.binary), *map(str, arguments)]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root needs setpriv to lose its rights")
        command = [setpriv, "--inh-caps=-dac_override,-dac_read_search",
                   "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)
    if "setpriv:" in done.stderr:
        pytest.skip(done.stderr)
    return done


def test_read_only_folder(case):
    locked = case.folder / "locked"
    locked.mkdir(mode=0o500)
    done = without_override(case.mlc, case.arguments("-o", locked / "out.pt"))
    assert done.returncode == 5
    assert done.stderr.startswith(f"mlc: error: {locked}/out.pt: cannot create a file in its folder: Permission denied")
    assert not list(locked.iterdir())
    locked.rmdir()


def test_edit_in_place_did_not_say_why_the_folder_must_be_writable(case):
    """A zip gets its new records at its end; of other formats a new file is written beside the old one."""
    locked = case.folder / "locked"
    locked.mkdir()
    torch.save(case.old, locked / "a.pt")
    torch.save(case.old, locked / "old.pt", _use_new_zipfile_serialization=False)
    before = (locked / "old.pt").read_bytes()
    locked.chmod(0o500)
    try:
        rename = ["--regex", "s,^,q.,", "--in-place"]
        for arguments in (["remap-keys", "old.pt", *rename], ["remap-keys", "old.pt", *rename, "-n"]):
            done = without_override(case.mlc, arguments, cwd=locked)
            assert done.returncode == 5
            assert "cannot create a file in its folder: Permission denied\nhint: the new content goes into a file beside" in done.stderr
            assert "-o names a file in another folder" in done.stderr
        assert (locked / "old.pt").read_bytes() == before and same(locked / "a.pt", case.old)
        for arguments in (["remap-keys", "a.pt", *rename], ["metadata", "a.pt", "--set", "name=x", "--in-place"]):
            assert without_override(case.mlc, arguments, cwd=locked).returncode == 0
        assert all(key.startswith("q.") for key in torch.load(locked / "a.pt", weights_only=False))
    finally:
        locked.chmod(0o700)


def test_read_only_file(case):
    torch.save(case.other, case.output)
    case.output.chmod(0o444)
    done = without_override(case.mlc, case.arguments("-o", case.output, "--force"))
    assert done.returncode == 5
    assert done.stderr.startswith(f"mlc: error: {case.output}: cannot replace it: Permission denied")
    assert same(case.output, case.other)
    if case.verb != "save":
        case.input.chmod(0o444)
        done = without_override(case.mlc, case.arguments("--in-place"))
        assert done.returncode == 5
        assert done.stderr.startswith(f"mlc: error: {case.input}: cannot ") and "Permission denied" in done.stderr
        assert same(case.input, case.old)


def test_missing_folder(case):
    result = case.mlc(*case.arguments("-o", case.folder / "no/out.pt"))
    expect_write_error(result, case.folder / "no/out.pt")
    assert "No such file or directory" in result.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 256 KiB that is nearly full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder],
                           capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mount.stderr.strip()}")
    (folder / "filler").write_bytes(b"x" * 150_000)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(case, small_disk):
    output = small_disk / "out.pt"
    result = case.mlc(*case.arguments("-o", output))
    expect_write_error(result, output)
    assert "No space left on device" in result.stderr
    assert os.listdir(small_disk) == ["filler"]
    output.write_bytes(b"old")
    result = case.mlc(*case.arguments("-o", output, "--force"))
    expect_write_error(result, output)
    assert output.read_bytes() == b"old"
    assert sorted(os.listdir(small_disk)) == ["filler", "out.pt"]


def test_full_disk_in_place(case, small_disk):
    if case.verb == "save":
        pytest.skip("save keeps the content: old and new are the same")
    (small_disk / "filler").unlink()
    case.input = small_disk / "in.pt"
    tensors = {f"module.{i}.weight": torch.zeros(1) for i in range(600)}
    torch.save(tensors, case.input)
    before = case.input.read_bytes()
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"x" * max(0, free - 8192))
    result = case.mlc(*case.arguments("--in-place"))
    expect_write_error(result, case.input)
    assert "No space left on device" in result.stderr
    assert case.input.read_bytes() == before


def test_file_size_limit(case):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    done = subprocess.run([case.mlc.binary, *map(str, case.arguments("-o", case.output))],
                          preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr.startswith(f"mlc: error: {case.output}: ") and "File too large" in done.stderr
    assert case.names() == ["in.pt"]


# --- names, modes and links


def test_mode_bits(case):
    previous = os.umask(0o027)
    try:
        case.mlc.ok(*case.arguments("-o", case.output))
    finally:
        os.umask(previous)
    assert stat.S_IMODE(case.output.stat().st_mode) == 0o640
    for mode in (0o600, 0o755, 0o664):
        case.output.chmod(mode)
        case.mlc.ok(*case.arguments("-o", case.output, "--force"))
        assert stat.S_IMODE(case.output.stat().st_mode) == mode


def test_a_symbolic_link_as_output_stays(case):
    (case.folder / "real").mkdir()
    target = case.folder / "real/target.pt"
    torch.save(case.other, target)
    case.output.symlink_to("real/target.pt")
    assert case.mlc(*case.arguments("-o", case.output)).rc == 5
    case.mlc.ok(*case.arguments("-o", case.output, "--force"))
    assert case.output.is_symlink() and os.readlink(case.output) == "real/target.pt"
    assert same(target, case.new_content())
    assert os.listdir(case.folder / "real") == ["target.pt"]
    shutil.rmtree(case.folder / "real")


def test_a_dangling_link_as_output_is_refused(case):
    case.output.symlink_to("nowhere.pt")
    for flags in ([], ["--force"]):
        result = case.mlc(*case.arguments("-o", case.output, *flags))
        assert result.rc == 5, result
        assert case.output.is_symlink()
        assert case.names() == ["in.pt", "out.pt"]


def test_output_that_exists(case):
    torch.save(case.other, case.output)
    result = case.mlc(*case.arguments("-o", case.output))
    expect_write_error(result, case.output)
    assert result.stderr.endswith("exists already\nhint: --force replaces it\n")
    assert same(case.output, case.other)


def test_output_that_appears_meanwhile(case):
    """The check for an existing output is not a race: the name is taken exclusively."""
    process = case.mlc.start(*case.arguments("-o", case.output), env=case.environment("link:1:stall"))
    wait_for(case.mark)
    torch.save(case.other, case.output)
    case.mark.unlink()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 5
    assert err.decode() == f"mlc: error: {case.output}: exists already\nhint: --force replaces it\n"
    assert same(case.output, case.other)


def test_output_equal_to_input(case):
    before = case.input.read_bytes()
    os.link(case.input, case.output)
    (case.folder / "link.pt").symlink_to("in.pt")
    for output in (case.input, case.output, case.folder / "link.pt"):
        result = case.mlc(*case.arguments("-o", output, "--force"))
        assert result.rc == 2, result
        assert f"mlc: error: {output}: the output is the input" in result.stderr
    assert case.input.read_bytes() == before


def test_in_place_with_hard_links(in_place):
    os.link(in_place.input, in_place.output)
    result = in_place.mlc(*in_place.arguments("--in-place"))
    expect_write_error(result, in_place.input)
    assert "has 2 names (hard links)" in result.stderr and "--force" in result.stderr
    assert shows(in_place, in_place.old)
    in_place.mlc.ok(*in_place.arguments("--in-place", "--force"))
    assert shows(in_place, in_place.new)


def test_in_place_of_a_locked_file(in_place):
    if not in_place.appends:
        pytest.skip("the file is replaced")
    import fcntl  # pylint: disable=import-outside-toplevel
    with open(in_place.input, "rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        result = in_place.mlc(*in_place.arguments("--in-place"))
    expect_write_error(result, in_place.input)
    assert "another program has locked it" in result.stderr


@pytest.mark.parametrize("moment", ["write:1", "sync:1"])
def test_two_edits_at_once_lose_nothing(in_place, moment):
    """Of two that run at the same time one is refused, wherever the first one is; its edit is not lost unnoticed."""
    process = in_place.mlc.start(*in_place.arguments("--in-place"), env=in_place.environment(f"{moment}:stall"))
    wait_for(in_place.mark)
    second = in_place.mlc("save", in_place.input, "--in-place", "--set", "custom.second=1")
    in_place.mark.unlink()
    _, err = process.communicate(timeout=20)
    assert sorted([process.returncode, second.rc]) == [0, 5], (err, second)
    refusal = err.decode() if process.returncode else second.stderr
    assert "another program" in refusal
    assert shows(in_place, in_place.new if process.returncode == 0 else in_place.old)
    if second.rc == 0:
        assert in_place.mlc.ok("metadata", in_place.input, "--json").json["metadata"]["custom"]["second"] == 1


def test_unreadable_input_writes_nothing(case):
    case.input.write_bytes(case.input.read_bytes()[:-30])
    result = case.mlc(*case.arguments("-o", case.output))
    assert result.rc == 3
    assert case.names() == ["in.pt"]


# --- the folder in which a new ONNX model with weights beside it is checked


@pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine")
def test_a_killed_check_left_its_folder_for_ever(mlc, library, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    torch.jit.script(torch.nn.Linear(64, 64)).save(folder / "fc.pt")
    command = ["export-onnx", folder / "fc.pt", "-o", folder / "fc.onnx", "--external-data", "always", "-f",
               "--input", "input:f32[2,64]"]

    def left():
        return sorted(path.name[:11] for path in folder.iterdir() if path.name not in ("fc.pt", "fc.onnx", "fc.onnx.data"))

    for n in (1, 2):  # before each of both names
        env = {"LD_PRELOAD": str(library), "MLC_FAULT": f"link:{n}:kill", "MLC_FAULT_LOG": str(tmp_path / "mark")}
        assert mlc(*command, env=env).rc == -signal.SIGKILL
        assert left() == [".mlc-check-"] and not (folder / "fc.onnx").exists()
    # One that still runs keeps its own, and what is none of ours stays.
    busy, other = folder / ".mlc-check-busy", folder / ".mlc-checks"
    busy.mkdir()
    (busy / "fc.onnx").write_text("in use")
    other.mkdir()
    lock = os.open(busy, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    mlc.ok(*command)
    assert left() == [".mlc-check-", ".mlc-checks"] and (busy / "fc.onnx").exists()
    os.close(lock)
    mlc.ok(*command)
    assert left() == [".mlc-checks"] and (folder / "fc.onnx.data").exists()


# --- a model with its weights beside it: two names that no call moves together


def weights_of(path):
    """By name; whatever is missing, short or not in one of both is an error."""
    import onnx  # pylint: disable=import-outside-toplevel
    model = onnx.load(path)
    return {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}


class Pair:
    """A folder with two models and the command that writes one of them over the other."""

    def __init__(self, mlc, library, folder):
        self.mlc, self.library, self.folder = mlc, library, folder
        self.output, self.mark = folder / "m.onnx", folder.parent / "mark"
        for seed, name in enumerate(["old.pt2", "new.pt2"]):
            torch.manual_seed(seed)
            torch.export.save(torch.export.export(torch.nn.Linear(64, 64, bias=False), (torch.randn(2, 64),)), folder / name)
        self.kept = {}
        for name in ("new", "old"):
            mlc.ok(*self.command(name))
            self.kept[name] = {path.name: path.read_bytes() for path in folder.glob("*.onnx*")}
            self.weights = {**getattr(self, "weights", {}), name: weights_of(self.output)}

    def command(self, name):
        return ["export-onnx", self.folder / f"{name}.pt2", "-o", self.output, "--external-data", "always", "-f", "--no-verify"]

    def reset(self):
        for path in self.folder.iterdir():
            if path.suffix != ".pt2":
                path.unlink()
        for name, content in self.kept["old"].items():
            (self.folder / name).write_bytes(content)

    def is_pair(self, name):
        got = weights_of(self.output)
        return all(numpy.array_equal(got[key], value) for key, value in self.weights[name].items())

    def files(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.suffix != ".pt2"}

    def run(self, fault, no_tmpfile=False):
        self.mark.unlink(missing_ok=True)
        env = {"LD_PRELOAD": str(self.library), "MLC_FAULT": fault, "MLC_FAULT_LOG": str(self.mark)}
        result = self.mlc(*self.command("new"), env={**env, "MLC_NO_TMPFILE": "1"} if no_tmpfile else env)
        return result, self.mark.exists()


@pytest.fixture
def pair(mlc, library, tmp_path, onnx_checker):
    folder = tmp_path / "folder"
    folder.mkdir()
    return Pair(mlc, library, folder)


def pair_faults(pair, kind, action, **options):
    for n in range(1, MOST_CALLS):
        pair.reset()
        result, happened = pair.run(f"{kind}:{n}:{action}", **options)
        if not happened:
            assert result.rc == 0 and n > 1
            return
        yield result


@pytest.mark.parametrize("kind", ["create", "write", "sync", "link", "rename"])
def test_a_kill_between_a_model_and_its_weights_left_a_mixed_pair(pair, kind):
    seen = set()
    for result in pair_faults(pair, kind, "kill"):
        assert result.rc == -signal.SIGKILL
        assert pair.is_pair("old") or pair.is_pair("new")
        seen.add("new" if pair.is_pair("new") else "old")
        # The next run ends as one that nothing happened to, whatever lies there.
        pair.mlc.ok(*pair.command("new"))
        assert pair.files() == pair.kept["new"]
    assert "old" in seen
    assert pair.files() == pair.kept["new"]


@pytest.mark.parametrize("no_tmpfile", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("kind", ["create", "write", "sync", "link", "rename"])
def test_an_error_between_a_model_and_its_weights_leaves_a_pair(pair, kind, no_tmpfile):
    for result in pair_faults(pair, kind, errno.EIO, no_tmpfile=no_tmpfile):
        # Where the weights get no second name they are copied.
        assert result.rc == 5 or (result.rc == 0 and kind in ("link", "rename", "sync")), result
        if result.rc == 0:
            assert pair.files() == pair.kept["new"]
        assert pair.is_pair("old") or pair.is_pair("new")
        if pair.is_pair("old"):
            assert pair.files() == pair.kept["old"]


def test_two_texts_for_one_interrupt(mlc, tmp_path):
    torch.save({"w": torch.zeros(64 << 20)}, tmp_path / "big.pt")
    seen = set()
    for delay in (0.03, 0.06, 0.1, 0.15, 0.2, 0.3):  # before, in and behind the loop that asks
        process = mlc.start("load", "big.pt", "--check", "sha256")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        if process.returncode != 0:
            seen.add((process.returncode, err))
    assert seen - {(-signal.SIGINT, b"")} == {(130, b"mlc: interrupted\n")}
