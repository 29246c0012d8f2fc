"""Checkpoints with distributed tensors, which torch.distributed made of one rank."""
import pathlib
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.testing._internal.distributed.fake_pg")
safetensors = pytest.importorskip("safetensors.torch")

import torch.distributed as dist  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

CURE = "full_tensor()"


@pytest.fixture
def mesh():
    """mesh(ranks): as rank 0 sees it."""

    def make(ranks):
        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
        return init_device_mesh("cpu", (ranks,))

    yield make
    if dist.is_initialized():
        dist.destroy_process_group()


def spread(local, mesh, placement):
    return DTensor.from_local(local, mesh, [placement], run_check=False)


def whole(mesh):
    one = mesh(1)
    w = torch.arange(16.0).reshape(4, 4)
    return {"model": {"w": spread(w, one, Shard(0)), "b": spread(torch.ones(4), one, Replicate()),
                      "p": torch.nn.Parameter(spread(torch.full((4,), 3.0), one, Replicate()))}}


def plain(tensors):
    return {name: tensor.to_local().detach() for name, tensor in tensors["model"].items()}


def test_the_mesh_of_devices_is_not_counted_as_bytes_of_a_dtensor(mlc, mesh, tmp_path):
    torch.save(whole(mesh), tmp_path / "d.pt")
    answer = mlc("load", "d.pt", "--json", cwd=tmp_path).json
    assert [row["bytes"] for row in answer["tensors"]] == [64, 16, 16]
    assert answer["totals"]["bytes"] == 96


def test_the_import_that_dtensors_need_was_not_told(mlc, mesh, tmp_path):
    torch.save(whole(mesh), tmp_path / "d.pt")
    torch.load(tmp_path / "d.pt", weights_only=True)
    report = mlc("load", "d.pt", "--require-safe", "--json", cwd=tmp_path)
    assert (report.rc, report.json["accepted_after_import"]) == (1, ["torch.distributed.tensor"])
    assert " without `import torch.distributed.tensor`\n" in mlc("load", "d.pt", cwd=tmp_path).stdout


def test_quantize_does_not_say_that_dtensors_of_floats_are_no_floats(mlc, mesh, tmp_path):
    torch.save(whole(mesh), tmp_path / "d.pt")
    done = mlc("quantize", "d.pt", "-n", cwd=tmp_path)
    assert "3 no plain tensors" in done.stdout and "no floating-point numbers" not in done.stdout


@pytest.mark.parametrize("options", [["--safe", "-o", "x.pt"], ["--key", "model", "--weights-only", "-o", "x.pt"],
                                     ["--dtype", "f32", "-o", "x.pt"], ["-o", "x.safetensors"]])
def test_a_dtensor_that_is_whole_is_not_refused(mlc, mesh, tmp_path, options):
    tensors = whole(mesh)
    torch.save(tensors, tmp_path / "d.pt")
    done = mlc("save", "d.pt", *options, cwd=tmp_path)
    assert done.rc == 0, done.stderr
    assert "written as plain tensors" in done.stderr and "will refuse" not in done.stderr
    if options[-1] == "x.pt":
        found = torch.load(tmp_path / "x.pt", weights_only=True)
        found = found.get("model", found)
    else:
        found = safetensors.load_file(tmp_path / "x.safetensors")
    expected = plain(tensors)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("placement", [Shard(0), Partial()])
@pytest.mark.parametrize("options", [["--safe", "-o", "x.pt"], ["-o", "x.safetensors"]])
def test_no_hint_leads_from_a_shard_to_a_file_that_is_refused_again(mlc, mesh, tmp_path, placement, options):
    torch.save({"model": {"w": spread(torch.ones(2, 4), mesh(2), placement)}}, tmp_path / "d.pt")
    done = mlc("save", "d.pt", *options, cwd=tmp_path)
    assert done.rc == 4
    assert CURE in done.stderr and "--weights-only" not in done.stderr
    assert not (tmp_path / options[-1]).exists()


def test_a_cast_does_not_say_that_weights_only_would_leave_dtensors_out(mlc, mesh, tmp_path):
    torch.save({"w": spread(torch.ones(2, 4), mesh(2), Shard(0))}, tmp_path / "d.pt")
    done = mlc("save", "d.pt", "--dtype", "f16", "-o", "x.pt", cwd=tmp_path)
    assert done.rc == 0
    assert "the tensors themselves: w" in done.stderr and CURE in done.stderr
    assert "--weights-only" not in done.stderr and "--safe" not in done.stderr


def save_part(path, local, placement, rank=0, ranks=2, parameter=False):
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=ranks)
    tensor = spread(local, init_device_mesh("cpu", (ranks,)), placement)
    torch.save({"w": torch.nn.Parameter(tensor) if parameter else tensor}, path)
    dist.destroy_process_group()


def row_of(mlc, tmp_path, *names, options=()):
    done = mlc("diff", *names, *options, "--json", cwd=tmp_path)
    assert done.rc == 1 and len(done.json["differences"]) == 1
    return done.json["differences"][0]


LOCAL = torch.arange(8.0).reshape(2, 4)


def test_whole_dtensors_were_said_to_need_the_training_side(mlc, mesh, tmp_path):
    torch.save({f"module.{key}": value for key, value in whole(mesh)["model"].items()}, tmp_path / "d.pt")
    done = mlc("strip-module-prefix", "d.pt", "-o", "s.safetensors")
    assert done.rc == 4 and "`mlc save d.pt --safe -o plain.pt` makes plain tensors of them" in done.stderr, done.stderr
    mlc.ok("save", "d.pt", "--safe", "-o", "plain.pt")
    mlc.ok("strip-module-prefix", "plain.pt", "-o", "s.safetensors")


@pytest.mark.parametrize("parameter", [False, True])
@pytest.mark.parametrize("placement, ranks", [(Shard(0), 1), (Replicate(), 2)])
def test_values_of_whole_dtensors_were_not_measured(mlc, tmp_path, placement, ranks, parameter):
    save_part(tmp_path / "a.pt", LOCAL, placement, ranks=ranks, parameter=parameter)
    save_part(tmp_path / "same.pt", LOCAL.clone(), Replicate(), ranks=3)
    save_part(tmp_path / "b.pt", LOCAL + torch.eye(2, 4), Replicate(), ranks=3)
    torch.save({"w": LOCAL}, tmp_path / "plain.pt")
    for other in ("same.pt", "plain.pt"):
        assert mlc.ok("diff", "a.pt", other, cwd=tmp_path).stdout.startswith("equal: 1 tensor, 32 B")
    row = row_of(mlc, tmp_path, "a.pt", "b.pt")
    assert row["kind"] == "value" and row["values"]["mismatches"] == 2 and row["values"]["max_abs"] == 1
    mlc.ok("diff", "a.pt", "b.pt", "--atol", "1", cwd=tmp_path)


@pytest.mark.parametrize("placement", [Shard(0), Shard(1), Partial()], ids=str)
def test_parts_of_dtensors_are_compared_where_they_are_the_same(mlc, tmp_path, placement):
    save_part(tmp_path / "a.pt", LOCAL, placement)
    save_part(tmp_path / "same.pt", LOCAL.clone(), placement)
    save_part(tmp_path / "b.pt", LOCAL + 1, placement)
    mlc.ok("diff", "a.pt", "same.pt", cwd=tmp_path)
    row = row_of(mlc, tmp_path, "a.pt", "b.pt")
    assert row["kind"] == "value" and row["values"]["mismatches"] == 8 and row["a"]["shape"] == [2, 4]
    assert "local part of a DTensor [" in row["reason"]
    assert "local part of a DTensor" in mlc("diff", "a.pt", "b.pt", cwd=tmp_path).stdout
    save_part(tmp_path / "other.pt", LOCAL, placement, rank=1)
    row = row_of(mlc, tmp_path, "a.pt", "other.pt")
    assert row["kind"] == "uncompared" and "not known to be the same part" in row["reason"]
    mlc.ok("diff", "a.pt", "other.pt", "--no-values", cwd=tmp_path)


def test_dtensors_of_other_shapes_differ_in_shape(mlc, tmp_path):
    save_part(tmp_path / "a.pt", LOCAL, Shard(0))
    save_part(tmp_path / "b.pt", LOCAL, Shard(1))
    save_part(tmp_path / "c.pt", LOCAL.half(), Shard(0))
    assert row_of(mlc, tmp_path, "a.pt", "b.pt")["kind"] == "shape"
    assert row_of(mlc, tmp_path, "a.pt", "b.pt", options=["--no-values"])["kind"] == "shape"
    assert row_of(mlc, tmp_path, "a.pt", "c.pt", options=["--no-values"])["kind"] == "dtype"
    save_part(tmp_path / "d.pt", LOCAL.clone().repeat(2, 1), Replicate())
    assert row_of(mlc, tmp_path, "a.pt", "d.pt")["kind"] == "uncompared"


def test_merging_parts_of_dtensors_was_said_to_be_a_matter_of_conflict(mlc, tmp_path):
    save_part(tmp_path / "rank0.pt", LOCAL, Shard(0))
    save_part(tmp_path / "rank1.pt", LOCAL + 8, Shard(0), rank=1)
    merge = ("save", "--merge", "rank0.pt", "rank1.pt", "-o", "x.pt")
    done = mlc(*merge, cwd=tmp_path)
    assert done.rc == 1 and "are parts of the tensors that the files before it hold parts of" in done.stderr
    assert "torch.distributed.checkpoint.save()" in done.stderr and "full_state_dict=True" in done.stderr
    assert "--on-conflict" not in done.stderr and "add-prefix" not in done.stderr
    for which, file in (("first", "rank0.pt"), ("last", "rank1.pt")):
        done = mlc.ok(*merge, "--on-conflict", which, "--force", cwd=tmp_path)
        assert f"has the parts of {file} only, and the rest of each tensor is lost" in done.stderr and CURE in done.stderr
    # The same part of two trainings, and what is whole in each file, is a choice as any other.
    save_part(tmp_path / "later.pt", LOCAL + 1, Shard(0))
    done = mlc("save", "--merge", "rank0.pt", "later.pt", "-o", "y.pt", cwd=tmp_path)
    assert done.rc == 1 and "--on-conflict" in done.stderr
    for name, rank in (("a.pt", 0), ("b.pt", 1)):
        save_part(tmp_path / name, LOCAL, Replicate(), rank=rank)
    assert "--on-conflict" in mlc("save", "--merge", "a.pt", "b.pt", "-o", "y.pt", cwd=tmp_path).stderr


CHUNKS = pathlib.Path(__file__).parent.parent / "unit/checkpoint/fixtures/dcp_chunks"


def test_a_damaged_chunk_of_a_tensor_of_several_ranks_went_unseen(mlc, tmp_path):
    shutil.copytree(CHUNKS, tmp_path / "d")
    mlc.ok("save", "d", "-o", "good.pt", cwd=tmp_path)
    answer = mlc.ok("load", "d", "--check", "crc", cwd=tmp_path)
    assert "without CRC" not in answer.stdout
    last = torch.load(tmp_path / "good.pt")["whole"].flatten()[-1:].numpy().tobytes()
    path = tmp_path / "d/__1_0.distcp"
    data = bytearray(path.read_bytes())
    assert data.count(last) >= 1
    data[data.rindex(last)] ^= 0x40
    path.write_bytes(data)
    checked = mlc("load", "d", "--check", "crc", cwd=tmp_path)
    assert checked.rc == 3 and "recorded is" in checked.stdout
    for command in (["save", "d", "-o", "x.pt"], ["save", "d", "-o", "x.safetensors"], ["save", "d", "--dtype", "f64", "-o", "x.pt"],
                    ["load", "d", "--check", "sha256"], ["load", "d", "--stats"], ["diff", "d", "good.pt"],
                    ["strip-module-prefix", "d", "-o", "x.pt", "--partial"], ["save", "d", "-o", "x.pt", "-n", "--dtype", "f64"]):
        done = mlc(*command, cwd=tmp_path)
        assert done.rc == 3 and "CRC" in done.stderr, (command, done)
        assert not (tmp_path / "x.pt").exists() and not (tmp_path / "x.safetensors").exists()
