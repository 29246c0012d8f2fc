"""No file that a command reads is replaced by what it writes: each test is named after the loss that once happened."""

import json
import os
import shutil
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from checkpoints import ordered, record, write

INDEX = "model.safetensors.index.json"


@pytest.fixture
def home(mlc, tmp_path):
    """Five shards, their whole, and side files of every kind."""
    write(tmp_path / "x.pt", ordered(**{f"l{i}.w": torch.full((25,), float(i)) for i in range(5)}))
    write(tmp_path / "p.pt", ordered(**{f"l{i}.w": torch.ones(25) for i in range(5)}))
    write(tmp_path / "more.pt", ordered(more=torch.ones(2)))
    mlc.ok("save", "x.pt", "-o", "q", "--max-shard-size", "100B")
    mlc.ok("save", "x.pt", "-o", "bin", "--max-shard-size", "100B", "--format", "pt")
    assert len(list((tmp_path / "q").iterdir())) == 6
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - exact: l0.w\n    to: first\n")
    (tmp_path / "meta.yaml").write_text("mlc: metadata/1\nname: x\n")
    (tmp_path / "x.pt.mlc.yaml").write_text("mlc: metadata/1\nname: beside\n")
    (tmp_path / "ln.pt").symlink_to("x.pt")
    (tmp_path / "names.txt").write_text("a\nb\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.pt").symlink_to("../p.pt")
    return tmp_path


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SHARD = "q/model-00003-of-00005.safetensors"
LOSSES = [
    # shards, by every name of their checkpoint
    (f"remap-keys q/{INDEX} --keep l1.* -o q --force", f'the output is the input "q/{INDEX}", of which it would replace "q/model-00001-'),
    (f"save q/{INDEX} -o q --max-shard-size 300B --force", "the output is the input"),
    (f"save q/{INDEX} -o q --max-shard-size 1GB --force", "the output is the input"),
    ("save q -o q --max-shard-size 300B --force", "the output is the input"),
    (f"save {SHARD} -o q --max-shard-size 50B --force", f'the output is the input "{SHARD}"'),
    (f"save q -o {SHARD} --force", f'the output is the input "q", of which it would replace "{SHARD}"'),
    (f"save q/{INDEX} -o {SHARD} --force", "the output is the input"),
    (f"save q -o q/{INDEX} --format pt --force", "the output is the input"),
    ("strip-module-prefix bin -o bin --force", "the output is the input"),
    ("remap-keys bin/pytorch_model.bin.index.json --keep l1.* -o bin --force", "the output is the input"),
    (f"save more.pt --merge q -o {SHARD} --force", 'the output is the input "q"'),
    (f"save x.pt --from q -o {SHARD} --force", 'the output is the file "q" of --from'),
    ("save x.pt --from q/model.safetensors.index.json -o q --max-shard-size 300B --force", "the output is the file"),
    # files that are read beside the input
    ("save x.pt --from p.pt -o p.pt --force", 'the output is the file "p.pt" of --from'),
    ("save x.pt --from p.pt --out-dir out --force", 'the output is the file "p.pt" of --from'),
    ("save x.pt --from x.pt --in-place", 'the output is the file "x.pt" of --from'),
    ("save x.pt p.pt --from p.pt --in-place", 'the output is the file "p.pt" of --from'),
    ("save x.pt --merge more.pt -o more.pt --force", 'the output is the input "more.pt"'),
    ("save x.pt --meta meta.yaml -o meta.yaml --format pt --force", 'the output is the file "meta.yaml" of --meta'),
    ("save x.pt -o x.pt.mlc.yaml --format pt --force", "of the input's metadata"),
    ("remap-keys x.pt --rules rules.yaml -o rules.yaml --force", 'the output is the file "rules.yaml" of --rules'),
    ("remap-keys x.pt --map l0=a -o ln.pt --force", 'the output is the input "x.pt"'),
    ("metadata x.pt --from p.yaml -o p.yaml --force", 'the output is the file "p.yaml" of --from'),
    ("metadata meta.yaml --from p.yaml -o p.yaml --force", 'the output is the file "p.yaml" of --from'),
    ("metadata x.pt --from x.pt.mlc.yaml --sidecar", 'the output is the file "x.pt.mlc.yaml" of --from'),
    # the inverse
    ("remap-keys x.pt --add-prefix m. -o r.pt --emit-inverse x.pt --force", "the file of --emit-inverse is the input"),
    ("remap-keys x.pt --add-prefix m. -o r.pt --emit-inverse ln.pt --force", "the file of --emit-inverse is the input"),
    ("remap-keys x.pt --add-prefix m. --in-place --emit-inverse x.pt --force", "the file of --emit-inverse is the input"),
    ("remap-keys x.pt --add-prefix m. -o r.pt --emit-inverse r.pt", "the output and the file of --emit-inverse are one"),
    ("remap-keys x.pt --add-prefix m. -o r.pt --emit-inverse ./r.pt --force", "the output and the file of"),
    ("remap-keys x.pt --rules rules.yaml -o r.pt --emit-inverse rules.yaml --force", "is the file \"rules.yaml\" of --rules"),
    (f"remap-keys q --map l0=a -o r.pt --emit-inverse q/{INDEX} --force", "the file of --emit-inverse is the input"),
    ("remap-keys x.pt --map l0=a -o r.pt --emit-inverse x.pt.mlc.yaml --force", "of the input's metadata"),
    ("remap-keys names.txt --map a=c --only-names --emit-inverse names.txt --force", "the file of --emit-inverse"),
    ("remap-keys x.pt --map l0=a --key * -o r.pt --emit-inverse i.yaml", "holds the rules of one state_dict"),
    ("remap-keys x.pt --map l0=a -o r.yaml", "the output would be a checkpoint under the name"),
]


@pytest.mark.parametrize("command, sentence", LOSSES)
def test_a_file_that_was_read_was_replaced(mlc, home, command, sentence):
    (home / "p.yaml").write_text("mlc: metadata/1\nname: p\n")
    before = snapshot(home)
    for dry in ([], ["-n"]):
        if dry and "--only-names" in command:
            continue
        result = mlc(*command.split(), *dry)
        assert result.rc == 2 and sentence in result.stderr and result.stdout == "", result
        assert snapshot(home) == before


@pytest.mark.parametrize("command", [
    "save bin/pytorch_model.bin.index.json -o bin --max-shard-size 300B --force",  # other names, one folder
    "save q -o q/merged.pt --force", "remap-keys q --map l0=a -o fresh", "save x.pt --from p.pt --in-place",
    "save q --max-shard-size 300B -o bin --force", "metadata x.pt --set name=y --sidecar",
    "metadata x.pt x.pt.mlc.yaml --set name=y --in-place", "metadata meta.yaml -o x.mlc.yaml --set name=z",
    "remap-keys x.pt --map l0=a --in-place --emit-inverse i.yaml",
    "remap-keys x.pt --map l0=a -o p.pt --emit-inverse meta.yaml --force"])
def test_what_replaces_nothing_that_is_read_still_runs(mlc, home, command):
    mlc.ok(*command.split())
    mlc.ok("load", "q", "--check", "crc")


def test_an_inverse_that_exists_stopped_the_run_only_halfway(mlc, home):
    before = snapshot(home)
    for dry in ([], ["-n"]):
        result = mlc("remap-keys", "x.pt", "--map", "l0=a", "-o", "r.pt", "--emit-inverse", "meta.yaml", *dry)
        assert result.rc == 5 and "meta.yaml: exists already" in result.stderr, result
        assert snapshot(home) == before


def test_shards_that_the_replaced_index_does_not_name_were_removed(mlc, home):
    stray = home / "q/model-00001-of-00009.safetensors"
    shutil.copy(home / SHARD, stray)
    mlc.ok("save", "p.pt", "-o", "q", "--max-shard-size", "300B", "--force")
    names = set(json.loads((home / "q" / INDEX).read_text())["weight_map"].values())
    assert set(os.listdir(home / "q")) == names | {INDEX, stray.name}


@pytest.mark.parametrize("kind", ["script", "exported"])
@pytest.mark.parametrize("output", ["o.pt", "o.safetensors"])
def test_save_dropped_a_program_without_a_word(mlc, request, kind, output):
    path = request.getfixturevalue(kind)
    name = {"script": "torchscript", "exported": "pt2"}[kind]
    result = mlc.ok("save", path, "-o", output)
    assert f"{output} holds the tensors as a state_dict; it is no {name} file any more" in result.stderr
    assert "any more" not in mlc.ok("save", path, "-o", "w" + output, "--weights-only").stderr
    before = path.read_bytes()
    assert mlc("save", path, "--in-place").rc == 4 and path.read_bytes() == before


def test_the_strings_of_safetensors_were_lost_in_a_pt(mlc, valid, tmp_path):
    strings = {"format": "pt", "author": "Zoë \"Z\"", "modelspec.title": "a title"}
    save_file({"w": torch.ones(3)}, tmp_path / "a.safetensors", metadata=strings)
    mlc.ok("save", "a.safetensors", "-o", "a.pt")
    mlc.ok("remap-keys", "a.pt", "--map", "w=v", "-o", "b.pt")  # copies records
    mlc.ok("save", "b.pt", "-o", "c.pt", "--dtype", "bf16")  # writes them again
    mlc.ok("save", "c.pt", "-o", "d.safetensors")
    with safe_open(tmp_path / "d.safetensors", "pt") as file:
        assert file.metadata().items() >= strings.items()
    assert json.loads(record(tmp_path / "c.pt", "mlc/safetensors.json")) == {k: v for k, v in strings.items() if k != "format"}
    assert torch.load(tmp_path / "c.pt")["v"].dtype == torch.bfloat16
    for name in ("a.safetensors", "c.pt"):
        shown = mlc.ok("load", name, "--summary").stdout
        line = next(line for line in shown.splitlines() if line.startswith("header       "))
        assert 'author "Zoë \\"Z\\""' in line and 'modelspec.title "a title"' in line
        loaded = mlc.ok("load", name, "--json").json
        valid(loaded, "load")
        assert loaded["string_metadata"].items() >= {"author": strings["author"]}.items()


def with_records(path, records):
    """A checkpoint with records of another program."""
    write(path, ordered(w=torch.ones(3)))
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in records.items():
            archive.writestr(f"{path.stem}/{name}", text)
    return path


def test_records_of_other_programs_were_dropped(mlc, tmp_path):
    path = with_records(tmp_path / "a.pt", {"extra/readme": "hello", "note": "", "extra/folder/": ""})
    mlc.ok("save", path, "-o", "b.pt")
    assert record(tmp_path / "b.pt", "extra/readme") == b"hello" and record(tmp_path / "b.pt", "note") == b""
    assert torch.equal(torch.load(tmp_path / "b.pt", mmap=True)["w"], torch.ones(3))
    left = 'left out: record extra/readme and record note'
    assert left in mlc.ok("save", path, "-o", "c.safetensors").stderr
    assert left in mlc.ok("save", path, "-o", "c.safetensors", "-n", "--force").stderr
    assert left in mlc.ok("save", path, "-o", "shards", "--max-shard-size", "1GB", "--format", "pt").stderr
    assert "also here    record extra/readme and record note\n" in mlc.ok("load", path, "--summary").stdout
    mlc.ok("save", path, "-o", "d.pt", "--weights-only")
    assert "also here" not in mlc.ok("load", "d.pt", "--summary").stdout


@pytest.mark.parametrize("text, sentence", [
    ("{", "JSON at byte 1"), ('{"a": 1}', "string"), ('{"a": "b", "a": "c"}', 'the key "a" is there twice'), ("[]", "")])
def test_broken_strings_are_named(mlc, tmp_path, text, sentence):
    result = mlc("load", with_records(tmp_path / "a.pt", {"mlc/safetensors.json": text}))
    assert result.rc == 3 and "mlc/safetensors.json: " in result.stderr and sentence in result.stderr, result


@pytest.mark.parametrize("command, said", [
    ("save p.pt -o ln.pt --force", "wrote ln.pt (a link to {}/x.pt): "),
    ("remap-keys p.pt --map l0=a -o ln.pt --force", "wrote ln.pt (a link to {}/x.pt): "),
    ("remap-keys ln.pt --map l0=a --in-place", "edited ln.pt (a link to {}/x.pt) in place: "),
    ("metadata p.pt --set name=a -o ln.pt --force", "wrote ln.pt (a link to {}/x.pt): "),
    ("metadata ln.pt --set name=a --in-place", "edited ln.pt (a link to {}/x.pt) in place: ")])
def test_a_link_hid_which_file_was_replaced(mlc, home, command, said):
    (home / "x.pt.mlc.yaml").unlink()
    assert mlc.ok(*command.split()).stderr.startswith(said.format(home.resolve()))


ARCHITECTURE = """mlc: architecture/1
inputs: ["x:f32[batch=1..8,4]"]
modules:
  fc: {type: Linear, in_features: 4, out_features: 3}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.fc(x)
"""


@pytest.mark.parametrize("command, sentence", [
    ("bench l.pt --arch l.yaml --report l.yaml", 'the file of --report is the file "l.yaml" of --arch'),
    ("bench l.pt --arch l.yaml --report l.pt", 'the file of --report is the input "l.pt"'),
    ("export-onnx l.pt --arch l.yaml -o l.yaml", 'the output is the file "l.yaml" of --arch'),
    ("export-onnx l.pt --arch l.yaml -o e.onnx --report l.yaml", 'the file of --report is the file "l.yaml" of --arch'),
    ("export-onnx l.pt --arch l.yaml -o e.onnx --report e.onnx", "the output and the file of --report are one"),
    ("export-onnx l.pt --arch l.yaml -o e.onnx --report e.onnx.data", "the output and the file of --report are one"),
    ("export-onnx l.pt --arch l.yaml -o x --input x=@x.npy --report x.npy", 'is the file "x.npy" of --input'),
    ("quantize l.pt --arch l.yaml --calib x.npy -o x.npy", 'the output is the file "x.npy" of --calib'),
    ("quantize l.pt --arch l.yaml --rounding gptq --calib x.npy -o q.pt --report x.npy", "of --calib"),
    ("quantize l.pt --arch l.yaml -o q.pt --write-recipe l.yaml", 'is the file "l.yaml" of --arch'),
    ("quantize m.onnx -o q.onnx --stats q.onnx", "the output and the file of --stats are one"),
    ("quantize m.onnx -o q.onnx --stats s.json --report ./s.json", "the files of --report and --stats are one"),
    ("quantize m.onnx -o q.onnx --labels y.npy --report y.npy", 'is the file "y.npy" of --labels'),
    ("prune l.pt --arch l.yaml --method wanda --amount 0.5 --calib x.npy -o x.npy", "of --calib"),
    ("prune l.pt --arch l.yaml --method channels --amount 0.5 -o p.pt --emit-arch link.npy --calib x.npy", "of --calib"),
    ("save l.pt --arch l.yaml -o l.yaml --format pt", 'the output is the file "l.yaml" of --arch'),
])
def test_samples_architectures_and_reports_were_replaced(mlc, tmp_path, command, sentence):
    write(tmp_path / "l.pt", ordered(**{"fc.weight": torch.ones(3, 4), "fc.bias": torch.ones(3)}))
    (tmp_path / "l.yaml").write_text(ARCHITECTURE)
    for name in ("x.npy", "y.npy", "m.onnx"):
        (tmp_path / name).write_bytes(b"samples")
    (tmp_path / "link.npy").symlink_to("x.npy")
    before = snapshot(tmp_path)
    result = mlc(*command.split(), *([] if command.startswith("bench") else ["--force"]))
    assert result.rc == 2 and sentence in result.stderr and result.stdout == "", result
    assert snapshot(tmp_path) == before
