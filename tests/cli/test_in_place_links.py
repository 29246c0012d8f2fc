"""Edits in place that would reach further than the file that was named."""

import json

import torch
from safetensors.torch import save_file


def test_an_edit_of_one_shard_parted_it_from_its_index(mlc, tmp_path):
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for i, name in enumerate(names):
        save_file({f"model.{i}.w": torch.ones(3)}, tmp_path / name)
    weights = {f"model.{i}.w": name for i, name in enumerate(names)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 24}, "weight_map": weights}))
    before = (tmp_path / names[0]).read_bytes()
    args = ("strip-module-prefix", names[0], "--prefix", "model.", "--in-place")
    done = mlc(*args)
    assert done.rc == 1 and "is shard 1 of 2" in done.stderr and (tmp_path / names[0]).read_bytes() == before
    mlc.ok("load", "model.safetensors.index.json")
    mlc.ok(*args, "--force")


def test_an_edit_went_through_a_link_into_the_cache(mlc, tmp_path):
    (tmp_path / "blobs").mkdir()
    torch.save({"module.w": torch.ones(3)}, tmp_path / "blobs/e790")
    (tmp_path / "m.pt").symlink_to("blobs/e790")
    before = (tmp_path / "blobs/e790").read_bytes()
    done = mlc("strip-module-prefix", "m.pt", "--in-place")
    assert done.rc == 5 and "link into a cache" in done.stderr and (tmp_path / "blobs/e790").read_bytes() == before
    mlc.ok("strip-module-prefix", "m.pt", "--in-place", "--force")


def test_an_empty_prefix_to_add_stripped(mlc, tmp_path):
    torch.save({"module.w": torch.ones(3)}, tmp_path / "m.pt")
    done = mlc("strip-module-prefix", "m.pt", "--add", "", "-o", "o.pt")
    assert done.rc == 2 and "--add names no prefix" in done.stderr and not (tmp_path / "o.pt").exists()


def test_a_name_too_long_for_a_sidecar_was_no_input(mlc, tmp_path):
    name = "x" * 245 + ".pt"
    torch.save({"module.w": torch.ones(3)}, tmp_path / name)
    mlc.ok("save", name, "-o", "o.safetensors")
    mlc.ok("strip-module-prefix", name, "-o", "p.pt")
    mlc.ok("diff", name, name)


def test_a_broken_sidecar_was_a_wrong_command_line(mlc, tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "m.pt")
    (tmp_path / "m.pt.mlc.yaml").write_text("garbage: [")
    done = mlc("save", "m.pt", "-o", "o.pt")
    assert done.rc == 3 and "m.pt.mlc.yaml" in done.stderr


def test_texts_lost_their_comments_in_set(mlc, tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "m.pt")
    for text, says in (("fix: head # 3", "begins a comment"), ("#123 fix loader", "begins a comment"), ("feat: add", "is a mapping")):
        done = mlc("metadata", "m.pt", "--set", f"custom.msg={text}", "-o", "o.pt")
        assert done.rc == 2 and says in done.stderr and "'PATH=" in done.stderr, done
    mlc.ok("metadata", "m.pt", "--set", 'custom.msg="fix: head # 3"', "--set", "custom.map={fix: head}", "-o", "o.pt")
    assert mlc.ok("metadata", "o.pt", "--get", "custom.msg").stdout.strip().strip('"') == "fix: head # 3"


def test_a_link_to_another_input_stopped_the_batch_without_a_way_on(mlc, tmp_path):
    for name in ("r0.pt", "r1.pt"):
        torch.save({"w": torch.ones(2)}, tmp_path / name)
    (tmp_path / "latest.pt").symlink_to("r1.pt")
    command = ["metadata", "latest.pt", "r0.pt", "r1.pt", "--in-place", "--set", "custom.k=1"]
    done = mlc(*command)
    assert done.rc == 2 and 'leave out "latest.pt", which is a link; --keep-going skips it' in done.stderr
    done = mlc.ok(*command, "--keep-going")
    assert "latest.pt is a link to r1.pt and is skipped" in done.stderr
    assert (tmp_path / "latest.pt").is_symlink()
    assert mlc.ok("metadata", "r0.pt", "r1.pt", "--get", "custom.k").stdout == "r0.pt: 1\nr1.pt: 1\n"
    mlc.ok("metadata", "r0.pt", "r1.pt", "--in-place", "--set", "custom.k=a b")
    assert mlc.ok("metadata", "r0.pt", "r1.pt", "--get", "custom.k").stdout == "r0.pt: a b\nr1.pt: a b\n"
