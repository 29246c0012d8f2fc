"""What a file holds beside the state_dict that a verb works on is named, wherever it stands."""

import pytest
import torch

from checkpoints import write


def optimizer_state():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def state_dict():
    return {"w": torch.ones(3), "b": torch.zeros(2)}


SHAPES = {
    "tuple": (lambda: (state_dict(), [torch.ones(5)], torch.ones(2)), "0", ["1", "2"]),
    "list": (lambda: [state_dict(), optimizer_state(), 7], "0", ["1", "2"]),
    "list in a dict": (lambda: {"ckpt": [state_dict(), optimizer_state()], "e": 1}, "ckpt.0", ["ckpt.1", "e"]),
    "dict in a dict": (lambda: {"e": 1, "ckpt": {"model": state_dict(), "step": 3}}, "ckpt.model", ["e", "ckpt.step"]),
}


@pytest.fixture(params=sorted(SHAPES))
def nested(request, tmp_path):
    make, key, beside = SHAPES[request.param]
    return write(tmp_path / "a.pt", make()), key, beside


def test_siblings_of_a_nested_state_dict_are_also_here(mlc, nested):
    path, key, beside = nested
    shown = mlc.ok("load", path, "--json").json
    assert (shown["key"], shown["also_here"]) == (key, beside)
    line = next(line for line in mlc.ok("load", path).stdout.splitlines() if line.startswith("also here"))
    assert all(one in line for one in beside)


def test_siblings_of_a_nested_state_dict_are_named_where_safetensors_leaves_them_out(mlc, nested):
    path, _, beside = nested
    saved = mlc.ok("save", path, "-o", "b.safetensors", "--json")
    assert saved.json["left_out"] == beside
    assert "left out: " in saved.stderr and all(one in saved.stderr for one in beside)


def test_siblings_of_a_nested_state_dict_are_not_compared_by_diff(mlc, nested):
    path, _, beside = nested
    notes = mlc.ok("diff", path, path, "--json").json["notes"]
    assert [note for note in notes if note.startswith("not compared: ") and all(one in note for one in beside)]


def test_siblings_of_a_nested_state_dict_are_not_merged(mlc, nested, tmp_path):
    path, key, beside = nested
    base = {"other": torch.ones(1)}
    for part in reversed(key.split(".")):
        base = [base] if part.isdigit() else {part: base}
    write(tmp_path / "base.pt", base)
    merged = mlc.ok("save", "base.pt", path, "--merge", "-o", "c.pt")
    line = next(line for line in merged.stderr.splitlines() if "not merged from" in line)
    assert all(one in line for one in beside)


def test_tensors_beside_a_state_dict_are_told_from_scalars(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": state_dict(), "mean": torch.ones(3), "epoch": 3})
    assert "also here    mean (1 tensor) and epoch\n" in mlc.ok("load", "a.pt").stdout
    assert "left out: mean (1 tensor) and epoch" in mlc.ok("save", "a.pt", "-o", "b.safetensors").stderr


def test_siblings_of_a_state_dict_under_an_empty_key_are_named(mlc, tmp_path):
    write(tmp_path / "a.pt", {"": state_dict(), "epoch": 3})
    assert mlc.ok("load", "a.pt", "--json").json["also_here"] == ["epoch"]


def test_a_pt2_saved_as_a_checkpoint_had_two_state_dicts(mlc, tmp_path):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(2, 2)
            self.register_buffer("scale", torch.ones(2), persistent=False)

        def forward(self, x):
            return self.fc(x) * self.scale + torch.tensor([1.0, 2.0])

    torch.export.save(torch.export.export(Model(), (torch.ones(1, 2),)), tmp_path / "a.pt2")
    mlc.ok("save", "a.pt2", "-o", "b.pt")
    for name in ("a.pt2", "b.pt"):
        shown = mlc.ok("load", name, "--json").json
        assert (shown["key"], shown["also_here"]) == ("state_dict", ["constants"])
    mlc.ok("save", "b.pt", "-o", "c.safetensors")
    mlc.ok("diff", "a.pt2", "b.pt")
    assert mlc.ok("load", "b.pt", "--key", "constants", "--json").json["totals"]["tensors"] == 2


def test_constants_beside_other_state_dicts_are_one_themselves(mlc, tmp_path):
    write(tmp_path / "a.pt", {"state_dict": state_dict(), "constants": state_dict(), "epoch": 1})
    assert len(mlc.ok("load", "a.pt", "--json").json["state_dicts"]) == 2


# --- files with several state_dicts


def test_views_of_several_state_dicts_are_compacted_without_a_key(mlc, tmp_path):
    base = torch.arange(8000.0)
    write(tmp_path / "a.pt", {"model": {"w": base[:10], "tie": base[:10]}, "ema": {"w": base[:10], "v": base[100:110]}})
    mlc.ok("save", "a.pt", "-o", "b.pt", "--compact-views")
    assert (tmp_path / "b.pt").stat().st_size < 4000
    mlc.ok("diff", "a.pt", "b.pt", "--key", ".")
    found = torch.load(tmp_path / "b.pt")
    assert found["model"]["w"].data_ptr() == found["ema"]["w"].data_ptr() == found["model"]["tie"].data_ptr()
    mlc.ok("save", "a.pt", "-o", "one.pt", "--compact-views", "--key", "model")
    assert (tmp_path / "one.pt").stat().st_size > 30000  # ema shows the storage still


def test_a_device_on_which_nothing_lies_is_warned_of(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": {"w": torch.ones(1)}, "ema": {"w": torch.ones(1)}})
    wanted = "--map-location cuda:0=cpu changes nothing: the tensors lie on cpu"
    assert wanted in mlc.ok("save", "a.pt", "-o", "b.pt", "--map-location", "cuda:0=cpu").stderr
    assert wanted in mlc.ok("load", "a.pt", "--map-location", "cuda:0=cpu").stderr
    assert "changes nothing" not in mlc.ok("save", "a.pt", "-o", "c.pt", "--map-location", "cpu=cuda:1").stderr
    assert "changes nothing" not in mlc.ok("load", "c.pt", "--map-location", "cuda:1=cpu").stderr


def test_an_empty_key_was_shown_as_the_root(mlc, tmp_path):
    write(tmp_path / "a.pt", {"": torch.ones(2), "w": torch.ones(1)})
    write(tmp_path / "b.pt", {"": torch.zeros(2), "w": torch.ones(1)})
    write(tmp_path / "bare.pt", torch.ones(2))
    assert '\n""    f32' in mlc.ok("load", "a.pt").stdout
    assert '\n""    f32' in mlc.ok("save", "a.pt", "-n").stdout
    assert mlc("diff", "a.pt", "b.pt").stdout.splitlines()[1].startswith('""    values  ')
    assert "\n.     f32" in mlc.ok("load", "bare.pt").stdout


def test_the_other_of_two_alike_paths_lost_its_backslash(mlc, tmp_path):
    write(tmp_path / "amb.pt", {"a": {"b": {"w": torch.ones(2)}}, "a.b": {"w": torch.zeros(2)}})
    shown = mlc.ok("load", "amb.pt", "--key", "a.b").stdout
    assert "also here    1 tensor in a\\.b\n" in shown
    assert mlc.ok("load", "amb.pt", "--key", "a.b", "--json").json["also_here"] == ["a\\.b"]
    assert "also here    1 tensor in a\n" in mlc.ok("load", "amb.pt", "--key", "a\\.b").stdout


def test_values_beside_loose_tensors_were_not_told(mlc, tmp_path):
    write(tmp_path / "ema.pt", {"decay": 0.9, "num_updates": 3, "shadow_params": [torch.ones(2)], "collected_params": None})
    shown = mlc.ok("load", "ema.pt").stdout
    assert "also here    decay, num_updates and collected_params\n" in shown
    assert mlc.ok("load", "ema.pt", "--json").json["also_here"] == ["decay", "num_updates", "collected_params"]
