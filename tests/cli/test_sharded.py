"""`mlc save --max-shard-size`: shards and index as Hugging Face lays them out, read back without mlc."""

import errno
import json
import os
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from checkpoints import ordered, write
from test_fault_injection import library  # pylint: disable=unused-import

KINDS = {"safetensors": ("model", ".safetensors"), "pt": ("pytorch_model", ".bin")}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def tensors():
    torch.manual_seed(3)
    out = {f"layer{i}.weight": torch.randn(100, 10) for i in range(6)}  # 4,000 bytes each
    out["big.weight"] = torch.randn(100, 100)  # 40,000 bytes: more than a shard
    out["tied.weight"] = out["layer0.weight"]
    out["last.bias"] = torch.arange(3)
    return out


@pytest.fixture
def source(tensors, tmp_path):
    torch.save(tensors, tmp_path / "in.pt")
    return tmp_path / "in.pt"


def save(mlc, source, folder, kind, *flags, size="10KB"):
    return mlc("save", source, "-o", folder, "--max-shard-size", size, "--format", kind, *flags)


def read_shard(path):
    if path.suffix == ".bin":
        whole = torch.load(path, weights_only=True)
        assert all(torch.equal(whole[k], v) for k, v in torch.load(path, weights_only=True, mmap=True).items())
        return whole
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def test_shards_and_index(mlc, source, tensors, tmp_path, kind):
    stem, extension = KINDS[kind]
    folder = tmp_path / "out"
    result = save(mlc, source, folder, kind)
    assert result.rc == 0, result
    index = json.loads((folder / f"{stem}{extension}.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    count = len(shards)
    assert shards == [f"{stem}-{i + 1:05}-of-{count:05}{extension}" for i in range(count)]
    assert sorted(os.listdir(folder)) == sorted([*shards, f"{stem}{extension}.index.json"])
    read = {}
    for shard in shards:
        content = read_shard(folder / shard)
        assert sorted(content) == sorted(k for k, v in index["weight_map"].items() if v == shard)
        storages = {t.untyped_storage().data_ptr(): t.nbytes for t in content.values()}
        assert sum(storages.values()) <= 10_000 or len(storages) == 1
        read.update(content)
    names = set(tensors) - ({"tied.weight"} if kind == "safetensors" else set())
    assert set(read) == names
    assert all(torch.equal(read[name], tensors[name]) for name in names)
    # Every storage counts once, though tied.weight is in it twice.
    assert index["metadata"]["total_size"] == 6 * 4000 + 40_000 + 24
    if kind == "pt":
        assert index["weight_map"]["tied.weight"] == index["weight_map"]["layer0.weight"]
        shard = read_shard(folder / index["weight_map"]["tied.weight"])
        assert shard["tied.weight"].data_ptr() == shard["layer0.weight"].data_ptr()
    # mlc reads it back, as a folder and by its index.
    for path in (folder, folder / f"{stem}{extension}.index.json"):
        assert mlc("load", path, "--check", "crc").rc == 0


def test_one_shard_is_a_plain_file(mlc, source, tensors, tmp_path, kind):
    stem, extension = KINDS[kind]
    assert save(mlc, source, tmp_path / "out", kind, size="5GB").rc == 0
    assert os.listdir(tmp_path / "out") == [stem + extension]
    read = read_shard(tmp_path / "out" / (stem + extension))
    assert all(torch.equal(value, tensors[name]) for name, value in read.items())


def test_existing_files_are_kept(mlc, source, tmp_path, kind):
    stem, extension = KINDS[kind]
    folder = tmp_path / "out"
    assert save(mlc, source, folder, kind).rc == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for again in (save(mlc, source, folder, kind), save(mlc, source, folder, kind, size="5GB")):
        assert again.rc == 5 and "exists already" in again.stderr, again
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert save(mlc, source, folder, kind, "--force").rc == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    # The other layout would contradict the index: it goes.
    result = save(mlc, source, folder, kind, "--force", size="5GB")
    assert result.rc == 0 and "warning" in result.stderr
    assert (folder / (stem + extension)).exists()
    assert not (folder / f"{stem}{extension}.index.json").exists()


def test_the_same_bytes_every_time(mlc, source, tmp_path, kind):
    for name in ("a", "b"):
        assert save(mlc, source, tmp_path / name, kind).rc == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("call", ["write", "link", "create"])
def test_an_error_leaves_nothing(mlc, source, tmp_path, kind, call, library):  # pylint: disable=redefined-outer-name
    folder, mark = tmp_path / "out", tmp_path / "mark"
    for n in range(1, 100):
        shutil.rmtree(folder, ignore_errors=True)
        mark.unlink(missing_ok=True)
        result = mlc("save", source, "-o", folder, "--max-shard-size", "10KB", "--format", kind,
                     env={"LD_PRELOAD": str(library), "MLC_FAULT": f"{call}:{n}:{errno.ENOSPC}", "MLC_FAULT_LOG": str(mark),
                          "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
        if not mark.exists():
            assert result.rc == 0 and n > 3
            return
        assert result.rc == 5 and "No space left" in result.stderr, result
        assert not folder.exists() or os.listdir(folder) == []
    pytest.fail("never got through")


@pytest.mark.parametrize(("first", "second"), [("pt", "safetensors"), ("safetensors", "pt")])
def test_old_shards_of_the_other_format_were_opened_without_a_word(mlc, tmp_path, first, second):
    write(tmp_path / "in.pt", ordered(a=torch.ones(8), b=torch.ones(8)))
    mlc.ok("save", "in.pt", "-o", "folder", "--format", first, "--max-shard-size", "32B")
    result = mlc.ok("save", "in.pt", "-o", "folder", "--format", second, "--max-shard-size", "32B", "--force")
    assert "was there before and stays: who opens the folder may get it" in result.stderr


@pytest.mark.parametrize(("first", "second"), [("pt", "safetensors"), ("safetensors", "pt")])
def test_old_shards_of_pickles_hid_the_safetensors_beside_them(mlc, tmp_path, first, second):
    write(tmp_path / "old.pt", ordered(a=torch.zeros(8), b=torch.zeros(8)))
    write(tmp_path / "new.pt", ordered(a=torch.ones(8), b=torch.ones(8)))
    values = {"pt": "old.pt", "safetensors": "new.pt"}
    for kind in (first, second):
        size = "32B" if kind == "pt" else "1GB"  # shards of one, the whole file of the other
        mlc.ok("save", values[kind], "-o", "folder", "--format", kind, "--max-shard-size", size, "--force")
    result = mlc.ok("diff", "folder", "new.pt")
    assert "folder: read model.safetensors, as transformers does; pytorch_model.bin.index.json beside it was not read\n" in result.stderr
    (tmp_path / "folder/model.safetensors").unlink()
    assert "not read" not in mlc.ok("diff", "folder", "old.pt").stderr


def view_sizes(folder):
    return [sum(t.nbytes for t in read_shard(path).values()) for path in sorted(folder.glob("model-*.safetensors"))]


@pytest.mark.parametrize("flags", [[], ["--shared", "clone"]])
def test_views_of_one_storage_exceeded_the_size_of_a_shard(mlc, tmp_path, flags):
    base = torch.arange(4000.0)
    views = {f"v{i}": base[1000 * i:1000 * (i + 1)] for i in range(4)}
    write(tmp_path / "a.pt", {**views, "tie": views["v0"]})
    mlc.ok("save", "a.pt", "-o", "out", "--max-shard-size", "8KB", *flags)
    sizes = view_sizes(tmp_path / "out")
    assert max(sizes) <= 8000 and sum(sizes) == (20000 if flags else 16000)
    mlc.ok("save", "out", "-o", "whole.safetensors")
    mlc.ok("diff", "a.pt", "whole.safetensors")


def test_tied_tensors_stay_in_one_shard_with_their_names(mlc, tmp_path):
    tied = torch.ones(1000)
    write(tmp_path / "a.pt", ordered(a=tied, b=torch.zeros(1000), c=torch.zeros(1000), d=tied.detach()))
    mlc.ok("save", "a.pt", "-o", "out", "--max-shard-size", "4KB")
    assert view_sizes(tmp_path / "out") == [4000, 4000, 4000]
    opened = mlc.ok("load", "out", "--json").json
    assert opened["shared"] == [["a", "d"]] and opened["totals"]["tensors"] == 4
    assert mlc("save", "a.pt", "-o", "other", "--max-shard-size", "4KB", "--shared", "error").rc == 1


def test_a_soft_limit_of_open_files_stopped_thousands_of_shards(mlc, tmp_path):
    write(tmp_path / "in.pt", {f"w{i}": torch.full((300,), float(i)) for i in range(100)})
    few = "ulimit -Sn 64; "
    done = mlc.shell(few + '"$MLC" save in.pt -o shards --max-shard-size 1000B')
    assert done.rc == 0 and len(list((tmp_path / "shards").glob("*.safetensors"))) == 100, done
    done = mlc.shell(few + '"$MLC" diff in.pt shards')
    assert done.rc == 0, done
    for i in range(100):
        write(tmp_path / f"part{i:03}.pt", {f"w{i}": torch.full((300,), float(i))})
    done = mlc.shell(few + '"$MLC" save part*.pt --merge -o all.pt')
    assert done.rc == 0 and len(torch.load(tmp_path / "all.pt")) == 100, done


def test_too_many_open_files_had_no_hint(mlc, tmp_path):
    write(tmp_path / "in.pt", {f"w{i}": torch.full((300,), float(i)) for i in range(40)})
    mlc.ok("save", "in.pt", "-o", "shards", "--max-shard-size", "1000")
    for verb in ("load shards", "diff in.pt shards", "metadata shards", "save shards -o out.pt", "load shards --check crc"):
        done = mlc.shell(f'ulimit -n 32; "$MLC" {verb}')
        assert done.rc == 3 and "Too many open files" in done.stderr and "raise it with `ulimit -n`" in done.stderr, done


@pytest.fixture
def home(tmp_path):
    """A folder around one file, as save_pretrained makes it."""
    folder = tmp_path / "one"
    folder.mkdir()
    save_file({"module.w": torch.ones(3), "module.v": torch.zeros(2)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize("verb", [["strip-module-prefix"], ["remap-keys", "--add-prefix", "p."], ["save", "--dtype", "bf16"],
                                  ["metadata", "--set", "name=x"], ["prune", "--amount", "0.5"], ["quantize"]], ids=lambda verb: verb[0])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_around_one_file_was_called_several_files(mlc, home, verb, slash):
    save_file({"module.w": torch.ones(64, 64)}, home / "model.safetensors")
    before = (home / "model.safetensors").read_bytes()
    mlc.ok(verb[0], "one" + slash, *verb[1:], "--out-dir", "out")
    assert os.listdir(home.parent / "out") == ["one.safetensors"]
    assert (home / "model.safetensors").read_bytes() == before
    if verb[0] == "quantize":
        return
    done = mlc.ok(verb[0], "one" + slash, *verb[1:], "--in-place")
    assert "model.safetensors" in done.stderr and (home / "model.safetensors").read_bytes() != before
    assert sorted(os.listdir(home)) == ["config.json", "model.safetensors"]


def test_a_folder_with_two_checkpoints_is_not_edited_in_place(mlc, home):
    torch.save({"w": torch.ones(3)}, home / "pytorch_model.bin")
    done = mlc("strip-module-prefix", "one", "--in-place")
    assert done.rc == 2 and "name the file: one/model.safetensors" in done.stderr
    mlc.ok("strip-module-prefix", "one/model.safetensors", "--in-place")


def index_of(folder, name="model.safetensors.index.json"):
    return json.loads((folder / name).read_text())


@pytest.fixture
def described(mlc, tmp_path):
    """A folder of shards whose index says more than total_size, and what it says."""
    write(tmp_path / "in.pt", ordered(**{"module.a": torch.ones(8), "module.b": torch.ones(8)}))
    mlc.ok("save", "in.pt", "-o", "shards", "--max-shard-size", "32B")
    index = index_of(tmp_path / "shards")
    index["metadata"] |= {"total_parameters": 16, "note \"é\"": {"by": ["a", 1.50, None]}, "big": 12345678901234567890123}
    (tmp_path / "shards/model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    return index["metadata"]


@pytest.mark.parametrize("verb", [["save", "--max-shard-size", "32B"], ["remap-keys", "--map", "module.=m."], ["strip-module-prefix"],
                                  ["save", "--max-shard-size", "32B", "--format", "pt"]], ids=" ".join)
def test_the_metadata_of_an_index_lost_all_but_the_size(mlc, described, tmp_path, verb):
    mlc.ok(verb[0], "shards", *verb[1:], "-o", "out")
    assert index_of(tmp_path / "out", "pytorch_model.bin.index.json" if "pt" in verb else "model.safetensors.index.json")["metadata"] == described


def test_a_number_of_parameters_that_is_wrong_now_does_not_stay_in_the_index(mlc, described, tmp_path):
    write(tmp_path / "more.pt", {"c": torch.ones(8)})
    done = mlc.ok("save", "shards", "more.pt", "--merge", "-o", "out", "--max-shard-size", "32B")
    assert "left out of the new index, for the tensors are others: total_parameters" in done.stderr
    del described["total_parameters"]
    assert index_of(tmp_path / "out")["metadata"] == {**described, "total_size": 96}


@pytest.mark.parametrize("out", [["one.safetensors"], ["one", "--max-shard-size", "1GB"]])
def test_what_only_an_index_can_say_is_named_where_none_is_written(mlc, described, out):
    done = mlc.ok("save", "shards", "-o", *out)
    assert 'one file has no index; left out of the metadata of that before: note "é" and big\n' in done.stderr
    assert "total_parameters" in described and "total_parameters" not in done.stderr


def test_renamed_shards_became_one_file_for_the_sake_of_their_headers(mlc, described, tmp_path):
    assert described
    mlc.ok("strip-module-prefix", "shards", "-o", "out")
    assert sorted(os.listdir(tmp_path / "out")) == sorted(os.listdir(tmp_path / "shards"))


@pytest.mark.parametrize("flags", [[], ["--on-conflict", "last"]])
def test_a_merge_of_many_shards_warned_of_each(mlc, tmp_path, flags):
    write(tmp_path / "in.pt", {f"w{i}": torch.full((8,), float(i)) for i in range(40)})
    mlc.ok("save", "in.pt", "-o", "sh", "--max-shard-size", "32B")
    shards = sorted(str(path) for path in (tmp_path / "sh").glob("*.safetensors"))
    if flags:
        shards += shards
    done = mlc.ok("save", *shards, "--merge", "-o", "all.pt", *flags)
    lines = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(lines) == (2 if flags else 1), lines
    assert "-00001-of-00040.safetensors is shard 1 of 40;" in lines[0] and "likewise of" in lines[0]
    assert "-00002-of-00040.safetensors" in lines[0] and "-00003-of-00040.safetensors and" in lines[0]
    assert "-00004-of" not in done.stderr
    assert len(torch.load(tmp_path / "all.pt")) == 40


def test_opening_many_shards_warned_of_each_that_has_more_keys(mlc, tmp_path):
    write(tmp_path / "in.pt", {f"w{i}": torch.full((8,), float(i)) for i in range(40)})
    mlc.ok("save", "in.pt", "-o", "sh", "--max-shard-size", "64B")
    name = tmp_path / "sh/model.safetensors.index.json"
    index = json.loads(name.read_text())
    for i in range(0, 40, 2):
        del index["weight_map"][f"w{i}"]
    name.write_text(json.dumps(index))
    done = mlc.ok("load", "sh")
    assert done.stderr.count("that the index does not place in it; they are left out") == 1
    assert "; likewise of 19 more files: " in done.stderr


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("verb", [["save", "in.pt", "--max-shard-size", "32B"], ["strip-module-prefix", "shards"],
                                  ["remap-keys", "shards", "--map", "module.=m."]], ids=lambda verb: verb[0])
def test_shards_did_not_go_into_an_empty_folder(mlc, described, tmp_path, verb, slash):
    assert described
    folder = tmp_path / "empty"
    folder.mkdir()
    mlc.ok(*verb, "-o", "empty" + slash, "-n")
    mlc.ok(*verb, "-o", "empty" + slash)
    names = sorted(os.listdir(folder))
    assert len(names) == 3
    # One that is in use stays as it is, whatever the names in it are.
    for name in names:
        (folder / name).rename(folder / ("x" + name))
    done = mlc(*verb, "-o", "empty" + slash)
    assert done.rc == 5 and "exists already and is not empty" in done.stderr
    mlc.ok(*verb, "-o", "empty" + slash, "--force")
    assert len(os.listdir(folder)) == 6


@pytest.mark.parametrize("verb", [["save"], ["strip-module-prefix"], ["remap-keys", "--map", "module.=m."], ["metadata", "--set", "name=a"],
                                  ["prune", "--amount", "0.5"], ["quantize"]], ids=lambda verb: verb[0])
@pytest.mark.parametrize("out", ["folder", "folder/", "to come/"])
def test_a_folder_as_the_output_of_one_file_was_said_to_need_force(mlc, tmp_path, verb, out):
    write(tmp_path / "in.pt", {"module.w": torch.ones(64, 64)})
    (tmp_path / "folder").mkdir()
    for flags in ([], ["--force"]):
        done = mlc(verb[0], "in.pt", *verb[1:], "-o", out, *flags)
        assert done.rc == 2 and f"{out}: names a folder, and the output is one file\n" in done.stderr, done
        assert "--force" not in done.stderr
    mlc.ok(verb[0], "in.pt", *verb[1:], "--out-dir", out)
    assert os.listdir(tmp_path / out) == ["in.pt"]


@pytest.mark.parametrize("out", [["new/out.pt"], ["a b/c/out.pt"], ["new/shards", "--max-shard-size", "1KB"], ["a b/c/shards/", "--max-shard-size", "1KB"]])
def test_a_missing_folder_of_an_output_was_no_such_file(mlc, tmp_path, out):
    write(tmp_path / "in.pt", {"w": torch.ones(3)})
    for flags in (["-n"], []):
        done = mlc("save", "in.pt", "-o", *out, *flags)
        assert done.rc == 5 and "`mkdir -p " in done.stderr, done
    done = mlc.shell(done.stderr.split("`")[1] + ' && "$MLC" save in.pt -o ' + " ".join(f"'{word}'" for word in out))
    assert done.rc == 0, done


def test_every_shard_that_was_replaced_had_a_warning_of_its_own(mlc, tmp_path):
    write(tmp_path / "in.pt", {f"w{i}": torch.ones(8) for i in range(30)})
    mlc.ok("save", "in.pt", "-o", "out", "--max-shard-size", "32B")
    done = mlc.ok("save", "in.pt", "-o", "out", "--max-shard-size", "480B", "--force")
    assert done.stderr.count("removed") == 1 and "model-00003-of-00030.safetensors and 27 more of the shards that were replaced" in done.stderr
    assert len(os.listdir(tmp_path / "out")) == 3


@pytest.mark.parametrize(("size", "shards"), [("32B", 3), ("0.064KB", 2), ("64 b", 2), ("1kib", 1), ("5GB", 1)])
def test_sizes_of_shards_are_read_as_hugging_face_reads_them(mlc, tmp_path, size, shards):
    write(tmp_path / "in.pt", ordered(a=torch.ones(8), b=torch.ones(8), c=torch.ones(8)))
    mlc.ok("save", "in.pt", "-o", "out", "--max-shard-size", size)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == shards


@pytest.mark.parametrize("size", ["5", "5.5", "5G", "-5GB", "0GB", "0.1B", "nan", "infGB", "1e3B", "GB", "", "99999999999TB", "5GBB"])
def test_a_shard_of_five_bytes_was_taken_for_what_was_meant(mlc, tmp_path, size):
    write(tmp_path / "in.pt", {"w": torch.ones(8)})
    done = mlc("save", "in.pt", "-o", "out", "--max-shard-size", size)
    assert done.rc == 2 and "--max-shard-size: " in done.stderr and not (tmp_path / "out").exists(), done
    if size == "5":
        assert "did you mean 5GB? 5B is a number of bytes" in done.stderr


@pytest.mark.parametrize("size, hint", [
    ("0", "write 4096B, 512MB, 5GB or 64MiB"), ("0GB", "write 4096B, 512MB, 5GB or 64MiB"), ("0.5", "did you mean 0.5GB?"),
    ("-5", "write 4096B, 512MB, 5GB or 64MiB"), ("99999999999999", None), ("99999999999999.5", "write 4096B, 512MB, 5GB or 64MiB")])
def test_the_hint_for_a_size_named_sizes_that_are_refused(mlc, tmp_path, size, hint):
    write(tmp_path / "in.pt", {"w": torch.ones(8)})
    done = mlc("save", "in.pt", "-o", "out", "--max-shard-size", size)
    assert done.rc == (2 if hint else 0), done
    assert not hint or done.stderr.endswith(f"hint: {hint}\n")


def test_the_folder_made_of_an_index_was_called_like_an_index(mlc, described, tmp_path):
    assert described
    index = "shards/model.safetensors.index.json"
    mlc.ok("strip-module-prefix", index, "--out-dir", "out")
    assert os.listdir(tmp_path / "out") == ["model"] and len(os.listdir(tmp_path / "out/model")) == 3
    done = mlc("strip-module-prefix", index, "-o", "new.safetensors.index.json")
    assert done.rc == 2 and "is the name of a file" in done.stderr and not (tmp_path / "new.safetensors.index.json").exists()


@pytest.mark.parametrize("flags", [[], ["--force"]])
def test_a_link_that_leads_nowhere_was_said_to_need_force(mlc, tmp_path, flags):
    write(tmp_path / "in.pt", {"w": torch.ones(3)})
    (tmp_path / "out.pt").symlink_to("nowhere.pt")
    done = mlc("save", "in.pt", "-o", "out.pt", *flags)
    assert done.rc == 5 and "out.pt: is a symbolic link that leads nowhere\n" in done.stderr and "--force" not in done.stderr


BESIDE = {"version \"é\"": 2, "quantization_config": {"bits": [4, 1.50]}, "note": None}


@pytest.fixture
def described_beside(described, tmp_path):
    """The same, with more beside `metadata` and `weight_map`."""
    index = {"note": 1} | BESIDE | index_of(tmp_path / "shards")
    (tmp_path / "shards/model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    return described


@pytest.mark.parametrize("verb", [["save", "--max-shard-size", "32B"], ["remap-keys", "--map", "module.=m."], ["strip-module-prefix"],
                                  ["save", "--max-shard-size", "32B", "--format", "pt"]], ids=" ".join)
def test_an_index_lost_what_stood_beside_its_metadata(mlc, described_beside, tmp_path, verb):
    done = mlc.ok(verb[0], "shards", *verb[1:], "-o", "out")
    index = index_of(tmp_path / "out", "pytorch_model.bin.index.json" if "pt" in verb else "model.safetensors.index.json")
    assert {k: v for k, v in index.items() if k not in ("metadata", "weight_map")} == BESIDE
    assert index["metadata"] == described_beside and "left out" not in done.stderr


@pytest.mark.parametrize("verb", [["save"], ["quantize", "--scheme", "int8"], ["prune", "--amount", "0.5"], ["strip-module-prefix"]], ids=" ".join)
def test_an_index_was_dropped_without_a_word(mlc, described_beside, tmp_path, verb):
    assert described_beside
    done = mlc.ok(verb[0], "shards", *verb[1:], "-o", "one.pt")
    assert 'one file has no index; left out of the metadata of that before: note "é" and big\n' in done.stderr
    assert 'left out of that before, beside its metadata: note, version "é" and quantization_config\n' in done.stderr


@pytest.fixture
def three(mlc, tmp_path):
    write(tmp_path / "in.pt", {f"w{i}": torch.full((8,), float(i)) for i in range(3)})
    mlc.ok("save", "in.pt", "-o", "sh", "--format", "pt", "--max-shard-size", "32B")
    return [f"sh/pytorch_model-0000{i}-of-00003.bin" for i in (1, 2, 3)]


def test_a_merge_without_one_of_the_shards_was_silent(mlc, three, tmp_path):
    (tmp_path / "sh/pytorch_model.bin.index.json").unlink()
    done = mlc.ok("save", three[0], three[2], "--merge", "-o", "m.safetensors")
    assert f"1 of 3 shards is not among the inputs: {three[1]}\n" in done.stderr
    done = mlc.ok("save", three[0], "in.pt", "--merge", "--on-conflict", "first", "-o", "n.safetensors", "-n")
    assert f"2 of 3 shards are not among the inputs: {three[1]} and {three[2]}\n" in done.stderr
    assert "among" not in mlc.ok("save", *three, "--merge", "-o", "all.pt").stderr
    assert "among" not in mlc.ok("save", "in.pt", "all.pt", "--merge", "--on-conflict", "first", "-o", "two.pt").stderr


def test_an_index_was_said_to_open_shards_that_are_missing(mlc, three, tmp_path):
    whole = "pytorch_model.bin.index.json opens the whole checkpoint"
    assert whole in mlc.ok("load", three[0]).stderr
    os.rename(tmp_path / three[1], tmp_path / "elsewhere.bin")
    for done in (mlc.ok("load", three[0]), mlc.ok("save", three[0], three[2], "--merge", "-o", "m.pt")):
        assert f"{three[0]} is shard 1 of 3; sh/pytorch_model.bin.index.json is there, but not {three[1]}" in done.stderr
        assert "opens the whole" not in done.stderr
    assert f"1 of 3 shards is not among the inputs: {three[1]}\n" in done.stderr
    refused = mlc("load", "sh")
    assert refused.rc == 3
    assert "hint: 1 of 3 shards that the index names is not beside it\n" in refused.stderr
    os.rename(tmp_path / three[0], tmp_path / "elsewhere too.bin")
    names = " and ".join(os.path.basename(name) for name in three[:2])
    assert f"hint: 2 of 3 shards that the index names are not beside it: {names}\n" in mlc("load", "sh").stderr


def test_shards_that_are_counted_from_zero_are_all_there(mlc, three, tmp_path):
    for i, name in enumerate(three):
        os.rename(tmp_path / name, tmp_path / f"sh/pytorch_model-0000{i}-of-00003.bin")
    zero, one, two = (f"sh/pytorch_model-0000{i}-of-00003.bin" for i in range(3))
    assert "is there, but not" not in mlc.ok("load", one).stderr
    assert "among" not in mlc.ok("save", zero, one, two, "--merge", "-o", "all.pt").stderr


def test_sparse_tensors_counted_as_nothing_in_shards(mlc, tmp_path):
    write(tmp_path / "s.pt", {f"s{i}": torch.ones(50).to_sparse() for i in range(4)})
    mlc.ok("save", "s.pt", "-o", "out", "--format", "pt", "--max-shard-size", "700B")
    assert len(list((tmp_path / "out").glob("*.bin"))) == 4


@pytest.mark.parametrize("flags", [[], ["-n"]], ids=["write", "dry run"])
def test_a_shard_above_the_limit_was_not_told(mlc, source, tmp_path, kind, flags, valid):
    done = save(mlc, source, tmp_path / "out", kind, *flags)
    said = ("larger than the 10.0 kB of --max-shard-size, and so in a shard of its own, for no tensor is divided: "
            "big.weight (40.0 kB)")
    assert done.rc == 0 and said in done.stderr
    done = save(mlc, source, tmp_path / "json", kind, *flags, "--json")
    valid(done.json, "save")
    assert done.json["oversized"] == ["big.weight"] and said in done.stderr
    done = save(mlc, source, tmp_path / "large", kind, *flags, "--json", size="1MB")
    assert done.json["oversized"] == [] and done.stderr == ""


@pytest.mark.parametrize("to", KINDS)
def test_damage_was_told_of_a_shard_that_has_none(mlc, tmp_path, to):
    write(tmp_path / "in.pt", ordered(**{f"module.w{i}": torch.arange(100.0) + i for i in range(4)}))
    mlc.ok("save", "in.pt", "-o", "in", "--format", "pt", "--max-shard-size", "500B")
    damaged = tmp_path / "in/pytorch_model-00001-of-00004.bin"
    content = bytearray(damaged.read_bytes())
    content[content.index(torch.arange(100.0).numpy().tobytes()) + 200] ^= 255
    damaged.write_bytes(content)
    save = ["save", "in", "-o", "out", "--max-shard-size", "450B", "--format", to, "--dtype", "f64"]
    for args in (["strip-module-prefix", "in", "-o", "out"], save):
        result = mlc(*args)
        assert result.rc == 3 and result.stderr.startswith(
            "mlc: error: in/pytorch_model-00001-of-00004.bin: writing ")
