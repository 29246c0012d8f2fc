"""Hostile and broken files: each gets its code and a message that names record, tensor or offset.

Never a crash, a hang, an internal error, or more memory than a file of its size can need.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_hostile  # pylint: disable=wrong-import-position

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MLC", ROOT / "build/release/bin/mlc")).resolve()
SECONDS = 10
ADDRESS_SPACE = 2 << 30
SANITIZED = b"__asan_init" in BINARY.read_bytes() if BINARY.exists() else False


def limits():
    # The address sanitizer reserves terabytes of addresses.
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def load(path, *arguments):
    done = subprocess.run([BINARY, "load", str(path), *arguments], capture_output=True, timeout=SECONDS * (6 if SANITIZED else 1),
                          preexec_fn=limits, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def load_each(folder, contents, *flags):
    """(label, exit code, error object or None) of every file of CONTENTS, {label: bytes}; 64 files
    share a process, because most of the time of one is its start."""
    labels = list(contents)
    for i in range(0, len(labels), 64):
        paths = {}
        for label in labels[i:i + 64]:
            paths[folder / str(label) / "file.pt"] = label
            (folder / str(label)).mkdir()
            (folder / str(label) / "file.pt").write_bytes(contents[label])
        first, *others = paths
        code, out, err = load(first, *others, "--json", "--keep-going", *flags)
        if code not in (0, 1, 3, 4):
            codes = {label: load(path, *flags)[0] for path, label in paths.items()}
            pytest.fail(f"exit {code} of a batch; of each file alone: {codes}\n{err}")
        results = json.loads(out)["results"]
        assert [result["input"] for result in results] == [str(path) for path in paths]
        yield from ((label, result["exit_code"], result.get("error"))
                    for label, result in zip(paths.values(), results, strict=True))


CASES = make_hostile.all_cases()


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[label for label, _ in CASES])
def test_checklist(case, tmp_path):
    path = tmp_path / "file.pt"
    make_hostile.build(case, path)
    code, out, err = load(path, *case.arguments)
    assert code == case.code, err
    assert re.search(case.pattern, err, re.S), err
    if case.code != 0:
        assert out == b""
        assert err.splitlines()[-1].startswith(("mlc: error: ", "hint: ")), err
        assert str(tmp_path) in err, "the message does not name the file"


def test_every_item_has_a_function():
    numbers = [int(name[5:7]) for name in make_hostile.ITEMS]
    assert numbers == list(range(1, 41))


def test_the_same_bytes_every_time():
    again = make_hostile.all_cases()
    for (_, a), (_, b) in zip(CASES, again, strict=True):
        assert callable(a.content) or a.content == b.content


# --- damage to good files


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """One file of each common format, 3 to 12 KB."""
    folder = tmp_path_factory.mktemp("good")
    torch.manual_seed(0)
    tensors = {f"layer{i}.weight": torch.randn(10 + i, 16) for i in range(4)}
    torch.save(tensors, folder / "zip.pt")
    torch.save(tensors, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file  # pylint: disable=import-outside-toplevel
    save_file(tensors, folder / "tensors.safetensors")
    return folder


FORMATS = ["zip.pt", "legacy.pt", "tensors.safetensors"]


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_downloads(good, tmp_path, name):
    whole = (good / name).read_bytes()
    path = tmp_path / name
    lengths = {1, 2, 3, 4, 7, 8, 9, 15, 16, 30, 31, 64, 100, 511, 512, 513, *range(128, len(whole), 397),
               *(len(whole) - n for n in (1, 2, 21, 22, 23, 42, 43, 97, 98, 99, 200))}
    for length, code, error in load_each(tmp_path, {n: whole[:n] for n in sorted(lengths)}):
        assert code in (3, 4), (length, code, error)
        assert error["message"] and error["file"], (length, error)
        if length > 1000 and name != "legacy.pt":
            assert code == 3
    path.write_bytes(whole[: len(whole) // 2])
    assert re.search("truncated|broken off|ends|bytes", load(path)[2])


@pytest.mark.parametrize("name", FORMATS)
def test_flipped_bytes_never_crash(good, tmp_path, name):
    """One byte changed, in every region: an answer or an error, nothing else."""
    whole = (good / name).read_bytes()
    # Metadata lies at both ends; between them every 29th byte is enough.
    dense = 700
    places = [*range(0, min(dense, len(whole))), *range(dense, max(dense, len(whole) - dense), 29),
              *range(max(dense, len(whole) - dense), len(whole))]
    contents = {place: bytes([*whole[:place], whole[place] ^ 0x41, *whole[place + 1:]]) for place in places}
    for place, code, error in load_each(tmp_path, contents, "--check", "crc"):
        assert code in (0, 1, 3, 4), (place, code, error)
        assert error is None or error["kind"] != "internal", (place, error)


def test_flipped_tensor_bytes_are_found(good, tmp_path):
    whole = bytearray((good / "zip.pt").read_bytes())
    path = tmp_path / "flipped.pt"
    import zipfile  # pylint: disable=import-outside-toplevel
    with zipfile.ZipFile(good / "zip.pt") as archive:
        for record in archive.infolist():
            if "/data/" not in record.filename:
                continue
            name, extra = whole[record.header_offset + 26: record.header_offset + 30: 2]
            begin = record.header_offset + 30 + int.from_bytes(whole[record.header_offset + 26: record.header_offset + 28], "little") \
                + int.from_bytes(whole[record.header_offset + 28: record.header_offset + 30], "little")
            for place in (begin, begin + record.file_size // 2, begin + record.file_size - 1):
                whole[place] ^= 1
                path.write_bytes(whole)
                whole[place] ^= 1
                assert load(path)[0] == 0  # listing reads no tensor
                code, out, err = load(path, "--check", "crc")
                assert code == 3
                assert record.filename.split("/", 1)[1] in (out.decode() + err)


def test_a_file_that_shrinks(good, tmp_path):
    """Not a crash either: it is read again for the checksum when it has become shorter."""
    path = tmp_path / "sparse.pt"
    path.write_bytes((good / "zip.pt").read_bytes())
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    assert load(path, "--check", "crc")[0] == 3


def test_a_conversion_of_an_expanded_giant_is_refused(tmp_path):
    """Four bytes that claim to be 4 TB: listed, never written out."""
    case = next(case for label, case in CASES if label == "32_expanded-listed")
    path = tmp_path / "giant.pt"
    make_hostile.build(case, path)
    if subprocess.run([BINARY, "save", "--help"], capture_output=True, check=False).returncode != 0:
        pytest.skip("save is not there")
    for arguments in (["-o", tmp_path / "giant.safetensors"], ["--dtype", "fp16", "-o", tmp_path / "giant2.pt"]):
        done = subprocess.run([BINARY, "save", path, *arguments], capture_output=True, timeout=SECONDS, check=False,
                              preexec_fn=limits)
        assert done.returncode == 4, done.stderr
        assert b"1,099,511,627,776 elements" in done.stderr
        assert os.listdir(tmp_path) == ["giant.pt"]


def expanded(path, tensors):
    torch.save({name: torch.ones(1).expand(elements) for name, elements in tensors.items()}, path)


def refused(path, *arguments):
    done = subprocess.run([BINARY, *arguments], capture_output=True, timeout=SECONDS, check=False, preexec_fn=limits,
                          cwd=path.parent)
    return done.returncode == 4 and b"would be made in full" in done.stderr, done.stderr


READS = {
    "sha256": ["load", "in.pt", "--check", "sha256"],
    "safetensors": ["save", "in.pt", "-o", "out.safetensors"],
    "shards": ["save", "in.pt", "-o", "shards", "--max-shard-size", "1GB"],
    "cast": ["save", "in.pt", "-o", "out.pt", "--dtype", "fp16"],
}
# What repeats elements is counted there, not walked.
WEIGHS = {"stats": ["load", "in.pt", "--stats"], "diff": ["diff", "in.pt", "in.pt"]}


@pytest.mark.parametrize("verb", READS)
def test_an_expanded_giant_is_never_read_in_full(tmp_path, verb):
    expanded(tmp_path / "in.pt", {"w": 2**38})
    good, err = refused(tmp_path / "in.pt", *READS[verb])
    assert good and b"tensor w" in err and b"274,877,906,944 elements" in err, err


@pytest.mark.parametrize("verb", WEIGHS)
def test_expanded_giants_are_weighed_by_their_stored_elements(tmp_path, verb):
    expanded(tmp_path / "in.pt", {f"w{i}": 2**38 + i for i in range(40)})
    done = subprocess.run([BINARY, *WEIGHS[verb]], capture_output=True, timeout=SECONDS, check=False,
                          preexec_fn=limits, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", WEIGHS)
def test_overlapping_windows_are_never_read_in_full(tmp_path, verb):
    torch.save({"w": torch.ones(2**20 + 2**12).as_strided((2**20, 2**12), (1, 1))}, tmp_path / "in.pt")
    good, err = refused(tmp_path / "in.pt", *WEIGHS[verb])
    assert good and b"in.pt: tensor w" in err and b"hint: leave it out with --exclude\n" in err, err


@pytest.mark.parametrize("verb", READS)
def test_many_expanded_tensors_have_one_budget(tmp_path, verb):
    """Each of them is harmless: a little less than 1 GiB."""
    expanded(tmp_path / "in.pt", {f"w{i}": 2**28 - 1 - i for i in range(40)})
    good, err = refused(tmp_path / "in.pt", *READS[verb])
    assert good and re.search(rb"40 tensors of 42.* in all|3 tensors", err), err


def test_compact_views_leaves_expanded_tensors_expanded(tmp_path):
    state = {"giant": torch.ones(1).expand(2**38), "rows": torch.arange(1000.0)[:3].reshape(3, 1).expand(3, 1_000_000),
             "part": torch.arange(1000.0)[5:7], "windows": torch.arange(8.0).as_strided((7, 2), (1, 1))}
    path = tmp_path / "in.pt"
    torch.save(state, path)
    subprocess.run([BINARY, "save", path, "-o", tmp_path / "out.pt", "--compact-views"], check=True, timeout=SECONDS)
    assert (tmp_path / "out.pt").stat().st_size < path.stat().st_size < 20_000
    found = torch.load(tmp_path / "out.pt")
    assert found["giant"].shape == (2**38,) and found["giant"].stride() == (0,) and found["giant"][2**37] == 1
    assert all(torch.equal(found[name], state[name]) for name in ("rows", "part", "windows"))
    assert found["rows"].untyped_storage().nbytes() == 12 and found["part"].untyped_storage().nbytes() == 8


# --- files that change while they are read (item 40)


def sparse(path, count=2**31):
    """A tensor of zeros that takes no room on the disk, and seconds to read."""
    header = b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (count, 4 * count)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * count)


SHRUNK = {
    "stats": ["load", "in.safetensors", "--stats"],
    "diff": ["diff", "in.safetensors", "same.safetensors"],
    "cast": ["save", "in.safetensors", "-o", "out.safetensors", "--dtype", "fp16"],
}


@pytest.mark.parametrize("verb", SHRUNK)
@pytest.mark.parametrize("json", [(), ("--json",)], ids=["text", "json"])
def test_a_mapped_file_that_shrinks_ended_the_process(tmp_path, verb, json):
    sparse(tmp_path / "in.safetensors")
    if verb == "diff":
        sparse(tmp_path / "same.safetensors")
    process = subprocess.Popen([BINARY, *SHRUNK[verb], *json], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "in.safetensors" not in maps.read_text():
        pass
    assert process.poll() is None, "it was done before it could be disturbed"
    os.truncate(tmp_path / "in.safetensors", 4096)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, (process.returncode, err)
    # On a machine with much to do its size may be asked for only then.
    assert out == b"" and (b"shrank" in err or b"the file is cut off" in err), err
    assert {path.name for path in tmp_path.iterdir()} <= {"in.safetensors", "same.safetensors"}
