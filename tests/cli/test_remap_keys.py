"""mlc remap-keys: rules and short forms, and what follows the keys."""

import subprocess
import sys
import zipfile

import pytest
import safetensors.torch
import torch

from checkpoints import (EXPECTED, GOLDEN, assert_loads_as, assert_same, offsets, sha256_of, small_model,
                         training_checkpoint, write)


@pytest.fixture
def plain(tmp_path):
    return write(tmp_path / "a.pt", small_model().state_dict())


def keys(path):
    return list(torch.load(path))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_golden_files_keep_their_values_under_new_names(mlc, tmp_path, name):
    wanted = EXPECTED[name]
    key = ["--key", wanted["key"]] if wanted["key"] else []
    output = tmp_path / "out.safetensors"
    mlc.ok("remap-keys", GOLDEN / name, *key, "--add-prefix", "p.", "-o", output)
    report = mlc.ok("load", output, "--check", "sha256", "--json").json
    found = {t["name"]: t["sha256"] for t in report["tensors"]}
    hashes = {f"p.{k}": t["sha256"] for k, t in wanted["tensors"].items()}
    aliases = {k: v for k, v in hashes.items() if k not in found}  # of tied names safetensors keeps one
    assert set(aliases.values()) <= set(found.values())
    assert found == {k: v for k, v in hashes.items() if k not in aliases}


@pytest.mark.parametrize("name", sorted(n for n in EXPECTED if n.startswith(("sd", "train"))))
def test_golden_files_as_torch_reads_them(mlc, tmp_path, name):
    wanted = EXPECTED[name]
    mlc.ok("remap-keys", GOLDEN / name, "--add-prefix", "p.", "-o", "out.pt")
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    for part in (wanted["key"] or "").split("."):
        found = found[part] if part else found
    assert {k: sha256_of(v) for k, v in found.items()} == {
        f"p.{k}": t["sha256"] for k, t in wanted["tensors"].items()}


# --- short forms


@pytest.mark.parametrize("form, wanted", [
    (["--map", "0=stem"], ["stem.weight", "stem.bias", "1.weight"]),
    (["--map", "0.weight=w"], ["w", "0.bias", "1.weight"]),
    (["--map", "2.=head."], ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
                             "1.num_batches_tracked", "head.1.weight", "head.1.bias"]),
    (["--regex", r"s/^(\d)\./layer$1./"], ["layer0.weight", "layer0.bias", "layer1.weight"]),
    (["--regex", r"s/^(\d)\./layer\1./"], ["layer0.weight", "layer0.bias", "layer1.weight"]),
    (["--drop", "*.running_*", "--drop", "*tracked"], ["0.weight", "0.bias", "1.weight", "1.bias", "2.1.weight", "2.1.bias"]),
    (["--keep", "0.*", "--keep", "2.*"], ["0.weight", "0.bias", "2.1.weight", "2.1.bias"]),
    (["--add-prefix", "net."], ["net.0.weight", "net.0.bias"]),
    (["--keep", "0.*", "--add-prefix", "net.", "--map", "net.0=a"], ["a.weight", "a.bias"]),
])
def test_short_forms(mlc, tmp_path, plain, form, wanted):
    mlc.ok("remap-keys", plain, *form, "-o", "b.pt")
    found = keys(tmp_path / "b.pt")
    assert found[:len(wanted)] == wanted
    if "--keep" in form or "--drop" in form:
        assert found == wanted


def test_metadata_and_optimizer_follow(mlc, tmp_path):
    path = write(tmp_path / "train.pt", training_checkpoint())
    mlc.ok("remap-keys", path, "--map", "2.1=head", "-o", "b.pt")
    found = torch.load(tmp_path / "b.pt")
    assert list(found["model"])[-2:] == ["head.weight", "head.bias"]
    assert found["optimizer"]["param_groups"][0]["param_names"][-2:] == ["head.weight", "head.bias"]
    versions = found["model"]._metadata
    assert versions["head"] == {"version": 1} and "2.1" not in versions and versions["1"] == {"version": 2}
    assert_same(torch.load(path)["optimizer"]["state"], found["optimizer"]["state"])


# --- rules


def test_split_concat_transpose(mlc, tmp_path):
    state = {"a.qkv.weight": torch.arange(18.0).reshape(6, 3), "a.gate.weight": torch.ones(2, 3),
             "a.up.weight": torch.zeros(1, 3), "a.fc.weight": torch.arange(6.0).reshape(2, 3), "a.x": torch.zeros(1)}
    path = write(tmp_path / "a.pt", state)
    (tmp_path / "rules.yaml").write_text(r"""
version: 1
rules:
  - regex: '^(.*)\.qkv\.weight$'
    split: {dim: 0, parts: 3, to: ['$1.q', '$1.k', '$1.v']}
  - match: ['^(.*)\.gate\.weight$', '^(.*)\.up\.weight$']
    concat: {dim: 0, to: '$1.gate_up'}
  - glob: '*.fc.weight'
    transpose: [1, 0]
  - prefix: 'a.x'
    drop: true
""")
    report = mlc.ok("remap-keys", path, "--rules", "rules.yaml", "-o", "b.pt", "--json").json
    assert {k: report["counts"][k] for k in ("split", "joined", "transposed", "dropped")} == {
        "split": 1, "joined": 1, "transposed": 1, "dropped": 1} or report["counts"]["split"] == 3
    q, k, v = state["a.qkv.weight"].chunk(3)
    wanted = {"a.q": q, "a.k": k, "a.v": v, "a.gate_up": torch.cat([state["a.gate.weight"], state["a.up.weight"]]),
              "a.fc.weight": state["a.fc.weight"].t()}
    assert_loads_as(tmp_path / "b.pt", wanted, views=False)
    mlc.ok("remap-keys", path, "--rules", "rules.yaml", "-o", "b.safetensors")
    found = safetensors.torch.load_file(tmp_path / "b.safetensors")
    assert_same(wanted, {key: found[key] for key in wanted}, views=False)


def test_split_that_does_not_divide(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"qkv": torch.zeros(7, 2)})
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - exact: qkv\n    split: {parts: 3, to: [q, k, v]}\n")
    result = mlc("remap-keys", path, "--rules", "rules.yaml", "-o", "b.pt")
    assert result.rc != 0 and "qkv" in result.stderr and "7" in result.stderr
    assert not (tmp_path / "b.pt").exists()


@pytest.mark.parametrize("text, words", [
    ("version: 1\nrules:\n  - regex: '(a'\n    to: b\n", ":3:12: "),
    ("version: 1\nrules:\n  - regx: 'a'\n    to: b\n", "regex"),
    ("version: 2\nrules: []\n", "version"),
    ("version: 1\nrules:\n  - exact: a\n", ":3:5: "),
])
def test_bad_rules_point_at_the_line(mlc, tmp_path, plain, text, words):
    (tmp_path / "rules.yaml").write_text(text)
    result = mlc("remap-keys", plain, "--rules", "rules.yaml", "-o", "b.pt")
    assert result.rc == 2 and "rules.yaml:" in result.stderr and words in result.stderr
    assert not (tmp_path / "b.pt").exists()


def test_collision_unmatched_and_require_all(mlc, tmp_path, plain):
    result = mlc("remap-keys", plain, "--regex", "s/weight/bias/", "-o", "b.pt", "--json")
    assert result.rc == 1 and result.error["kind"] == "conflict" and "0.bias" in result.error["message"]
    assert not (tmp_path / "b.pt").exists()
    result = mlc.ok("remap-keys", plain, "--drop", "nothing.*", "-o", "b.pt")
    assert "warning" in result.stderr and "nothing.*" in result.stderr
    assert mlc("remap-keys", plain, "--drop", "nothing.*", "-o", "c.pt", "--strict").rc in (1, 2)
    assert mlc("remap-keys", plain, "--map", "0=a", "-o", "c.pt", "--require-all").rc in (1, 2)
    assert not (tmp_path / "c.pt").exists()
    assert mlc("remap-keys", plain, "-o", "c.pt").rc == 2  # no rules


def test_only_names(mlc, valid, tmp_path):
    (tmp_path / "keys.txt").write_text("a.weight\na.bias\nb.weight\n")
    assert mlc.ok("remap-keys", "keys.txt", "--only-names", "--map", "a=x").stdout == "x.weight\nx.bias\nb.weight\n"
    report = mlc.ok("remap-keys", "keys.txt", "--only-names", "--map", "a=x", "--json").json
    valid(report, "remap-keys-names")
    assert report["names"] == ["x.weight", "x.bias", "b.weight"]
    assert mlc("remap-keys", "keys.txt", "--only-names", "--map", "a=b").rc == 1


def test_emit_inverse_brings_everything_back(mlc, tmp_path, plain):
    mlc.ok("remap-keys", plain, "--map", "0=stem", "--regex", r"s/^2\.(\d)/head$1/", "-o", "b.pt", "--emit-inverse", "back.yaml")
    assert keys(tmp_path / "b.pt")[-1] == "head1.bias"
    mlc.ok("remap-keys", "b.pt", "--rules", "back.yaml", "-o", "c.pt")
    assert_loads_as(tmp_path / "c.pt", torch.load(plain))
    result = mlc("remap-keys", plain, "--drop", "0.*", "-o", "d.pt", "--emit-inverse", "no.yaml")
    assert result.rc != 0 and not (tmp_path / "no.yaml").exists() and not (tmp_path / "d.pt").exists()


@pytest.mark.parametrize("stacked", [[], ["--stacked"]])
def test_densenet_example(mlc, tmp_path, root, stacked):
    example = root / "examples/densenet-keys"
    for name, flags in (("old", stacked), ("new", ["--modern"])):
        subprocess.run([sys.executable, example / "make_checkpoint.py", tmp_path / f"{name}.pth", *flags], check=True)
    plan = mlc.ok("remap-keys", "old.pth", "--rules", example / "rules.yaml", "-n")
    assert "features.denseblock1.denselayer1.norm.1.weight -> features.denseblock1.denselayer1.norm1.weight" in plan.stdout
    report = mlc.ok("remap-keys", "old.pth", "--rules", example / "rules.yaml", "-o", "out.pth", "--json").json
    assert report["counts"]["renamed"] == 580 and report["counts"]["untouched"] == 26
    assert_loads_as(tmp_path / "out.pth", torch.load(tmp_path / "new.pth"))


# --- writing


def test_in_place_renames_move_no_storage(mlc, tmp_path, plain):
    old, records = plain.read_bytes(), offsets(plain, "data/")
    mlc.ok("remap-keys", plain, "--map", "0=stem", "--in-place")
    assert plain.read_bytes()[:len(old)] == old and offsets(plain, "data/") == records
    assert_loads_as(plain, torch.load(plain))
    assert keys(plain)[0] == "stem.weight"


def test_in_place_drop(mlc, tmp_path, plain):
    wanted = {k: v for k, v in torch.load(plain).items() if not k.startswith("1.")}
    mlc.ok("remap-keys", plain, "--drop", "1.*", "--in-place")
    assert keys(plain) == list(wanted)
    assert "--compact-views" not in mlc.ok("load", plain, "--check", "crc").stdout
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_dry_run_writes_nothing(mlc, tmp_path, plain):
    result = mlc.ok("remap-keys", plain, "--map", "0=stem", "--drop", "1.*", "-n", "-o", "b.pt")
    assert "0.weight -> stem.weight" in result.stdout and "1.running_mean" in result.stdout
    report = mlc.ok("remap-keys", plain, "--map", "0=stem", "-n", "--in-place", "--json").json
    assert report["dry_run"] is True and report["written"] is False and report["output"] == ""
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_existing_output_and_own_input(mlc, tmp_path, plain):
    (tmp_path / "b.pt").write_text("mine")
    assert mlc("remap-keys", plain, "--map", "0=a", "-o", "b.pt").rc == 5
    assert (tmp_path / "b.pt").read_text() == "mine"
    before = plain.read_bytes()
    assert mlc("remap-keys", plain, "--map", "0=a", "-o", plain, "--force").rc == 2
    assert plain.read_bytes() == before


def test_shard_index_follows(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "shards", "--max-shard-size", "60B")
    mlc.ok("remap-keys", "shards", "--map", "0=stem", "-o", "b.safetensors")
    found = safetensors.torch.load_file(tmp_path / "b.safetensors")
    assert set(found) == {("stem" + k[1:] if k.startswith("0.") else k) for k in torch.load(plain)}


def test_repeated_short_forms_leave_metadata_that_can_be_read(mlc, tmp_path):
    # Two --map used to write the key `map` twice into the provenance: YAML that nobody could read any more.
    torch.save({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "in.pt")
    mlc.ok("save", "in.pt", "--set", "name=x", "-o", "a.pt")
    mlc.ok("remap-keys", "a.pt", "--map", "a=c", "--map", "b=d", "-o", "b.pt")
    steps = mlc.ok("metadata", "b.pt", "--json").json["metadata"]["provenance"]
    assert steps[-1]["options"] == {"map": ["a=c", "b=d"]}


def test_every_state_dict_does_not_fit_into_safetensors(mlc, tmp_path):
    torch.save({"a": {"x": torch.ones(1)}, "b": {"y": torch.ones(1)}}, tmp_path / "in.pt")
    result = mlc("remap-keys", "in.pt", "--key", "*", "--add-prefix", "p.", "-o", "out.safetensors")
    assert result.rc == 2 and "holds one state_dict" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()


def test_rules_that_leave_nothing_write_nothing(mlc, tmp_path, plain):
    before = plain.read_bytes()
    for form in (["-o", "b.pt"], ["--in-place"]):
        result = mlc("remap-keys", plain, "--drop", "*", *form)
        assert result.rc == 2 and "the rules leave no tensor of" in result.stderr
    assert plain.read_bytes() == before and not (tmp_path / "b.pt").exists()


def test_deflated_records_stay_deflated_when_names_change(mlc, tmp_path, plain):
    """They are someone's choice; save stores them, as torch.save does."""
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "d.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    mlc.ok("remap-keys", tmp_path / "d.pt", "--map", "0=stem", "-o", "e.pt")
    mlc.ok("save", tmp_path / "e.pt", "-o", "f.pt")
    for name, method in [("e.pt", zipfile.ZIP_DEFLATED), ("f.pt", zipfile.ZIP_STORED)]:
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert {r.compress_type for r in archive.infolist() if "/data/" in r.filename} == {method}
        assert torch.equal(torch.load(tmp_path / name)["stem.weight"], torch.load(plain)["0.weight"])
    assert "\ndeflated  " in mlc.ok("load", tmp_path / "e.pt").stdout
    assert "\ndeflated  " not in mlc.ok("load", tmp_path / "f.pt").stdout


def test_many_rules_that_match_nothing_are_ten_lines_and_a_count(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    rules = "".join(f"  - {{exact: none.{i}, to: some.{i}}}\n" for i in range(300)) + "  - {exact: w, to: v}\n"
    (tmp_path / "r.yaml").write_text("version: 1\nrules:\n" + rules)
    result = mlc.ok("remap-keys", "a.pt", "--rules", "r.yaml", "-o", "b.pt")
    assert result.stderr.count("matched nothing") == 10
    assert "and 290 more" in result.stderr


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "latin"])
def test_only_names_took_a_binary_file_for_a_list_of_keys(mlc, tmp_path, name):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    mlc.ok("save", "a.pt", "-o", "a.safetensors")
    (tmp_path / "latin").write_bytes("schl\u00fcssel\n".encode("latin-1"))
    result = mlc("remap-keys", name, "--only-names", "--map", "w=v")
    assert (result.rc, result.stdout) == (2, "")
    assert f"{name}: is no list of keys: it holds bytes that are no text" in result.stderr


def test_keys_twice_in_a_list_are_told_by_their_lines(mlc, tmp_path):
    (tmp_path / "keys.txt").write_text("a\nb\n\na\nb\n")
    result = mlc("remap-keys", "keys.txt", "--only-names", "--map", "x=y")
    assert result.rc == 1 and "keys.txt: holds keys twice: a on lines 1 and 4 and b on lines 2 and 5" in result.stderr


def test_inverse_rules_were_written_that_mlc_does_not_read(mlc, tmp_path):
    (tmp_path / "keys.txt").write_text("".join(f"a.{i}\n" for i in range(210_000)))
    result = mlc("remap-keys", "keys.txt", "--only-names", "--map", "a=b", "--emit-inverse", "inverse.yaml")
    assert result.rc == 4 and "the rules that undo this would be larger than mlc reads" in result.stderr
    assert not (tmp_path / "inverse.yaml").exists()
    (tmp_path / "keys.txt").write_text("".join(f"a.{i}\n" for i in range(100_000)))
    mlc.ok("remap-keys", "keys.txt", "--only-names", "--map", "a=b", "--emit-inverse", "inverse.yaml")
    (tmp_path / "back.txt").write_text("b.7\n")
    assert mlc.ok("remap-keys", "back.txt", "--only-names", "--rules", "inverse.yaml").stdout == "a.7\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_names_and_rules_could_not_be_piped(mlc, tmp_path, name):
    rules = "version: 1\nrules:\n  - {prefix: 'a.', to: 'b.'}\n"
    assert mlc.ok("remap-keys", name, "--only-names", "--add-prefix", "m.", stdin="w\nb\n").stdout == "m.w\nm.b\n"
    write(tmp_path / "in.pt", {"a.w": torch.ones(2)})
    mlc.ok("remap-keys", "in.pt", "--rules", name, "-o", "out.pt", stdin=rules)
    assert list(torch.load(tmp_path / "out.pt")) == ["b.w"]
    manifest = mlc.ok("load", "in.pt", "--json").stdout
    assert mlc.ok("load", "in.pt", "--expect", name, stdin=manifest).rc == 0
    assert mlc("load", "out.pt", "--expect", name, stdin=manifest).rc == 1
    mlc.ok("metadata", "in.pt", "--from", name, "--in-place", stdin="mlc: metadata/1\nname: piped\n")
    mlc.ok("save", "in.pt", "--meta", name, "-o", "m.pt", stdin="mlc: metadata/1\nname: by save\n")
    assert "by save" in mlc.ok("metadata", "m.pt").stdout
    assert "piped" in mlc.ok("metadata", "in.pt").stdout
    done = mlc.shell(f'"$MLC" remap-keys <(printf "x\\n") --only-names --add-prefix m. </dev/null')
    assert (done.rc, done.stdout) == (0, "m.x\n")


def test_what_no_stream_can_hold_is_refused(mlc, tmp_path):
    write(tmp_path / "in.pt", {"a.w": torch.ones(2)})
    assert "INPUT must be a file" in mlc("remap-keys", "-", "--add-prefix", "m.", "-n").stderr
    both = mlc("remap-keys", "-", "--only-names", "--rules", "-", stdin="a\n")
    assert both.rc == 2 and "cannot hold both" in both.stderr
    assert mlc("load", "-", stdin="x").rc == 2
    odd = mlc("load", "in.pt", "--expect", "-", stdin="PK")
    assert odd.rc == 2 and "neither a manifest nor an architecture" in odd.stderr
    empty = mlc("remap-keys", "in.pt", "--rules", "-", "-n", stdin="")
    assert empty.rc == 2


def training(tmp_path):
    write(tmp_path / "ck.pt", {"state_dict": {"a.w": torch.ones(2), "b.w": torch.ones(2)}, "epoch": 3})


@pytest.mark.parametrize(("rule", "name"), [(["--map", "epoch=ep"], "epoch"), (["--map", "state_dict=model"], "state_dict"),
                                            (["--map", "a=c", "--drop", "epo*"], "epoch"), (["--regex", "s/^epoch$/ep/"], "epoch")])
def test_a_rule_for_the_root_of_a_checkpoint_wrote_it_unchanged(mlc, tmp_path, rule, name):
    training(tmp_path)
    done = mlc("remap-keys", "ck.pt", *rule, "-o", "out.pt")
    assert done.rc == 2 and f"matches no key of the state_dict at state_dict, only what stands outside of it: {name}\n" in done.stderr
    assert not (tmp_path / "out.pt").exists()


def test_rules_for_every_key_and_rules_that_match_nothing_at_all_are_no_mistake(mlc, tmp_path):
    training(tmp_path)
    for rule in (["--add-prefix", "m."], ["--regex", "s/^/m./"], ["--map", "nowhere=x"]):
        assert "outside" not in mlc.ok("remap-keys", "ck.pt", *rule, "-n").stderr
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - {exact: epoch, drop: true}\n  - {exact: a.w, to: c.w}\n")
    done = mlc.ok("remap-keys", "ck.pt", "--rules", "rules.yaml", "-o", "out.pt")
    assert "rule 1 matches no key of the state_dict at state_dict, only what stands outside of it: epoch\n" in done.stderr
    assert list(torch.load(tmp_path / "out.pt")["state_dict"]) == ["c.w", "b.w"]


PARTS = {"one is turned": "{exact: dec.w, transpose: [1, 0]}", "one is split": "{exact: dec.w, split: {to: [x, y], parts: 2}}",
         "both are split": "{regex: '(enc|dec)[.]w', split: {to: [$1.x, $1.y], parts: 2}}"}


@pytest.mark.parametrize("rule", PARTS.values(), ids=PARTS)
def test_ties_that_a_rule_ended_ended_in_silence(mlc, tmp_path, rule):
    tied = torch.randn(4, 2)
    write(tmp_path / "in.pt", {"enc.w": tied, "dec.w": tied.detach(), "o": torch.ones(4, 2)})
    (tmp_path / "rules.yaml").write_text(f"version: 1\nrules:\n  - {rule}\n")
    for flags in (["-n"], ["-o", "out.pt"]):
        done = mlc.ok("remap-keys", "in.pt", "--rules", "rules.yaml", *flags)
        assert "tied before, and tensors of their own after these rules: enc.w and dec.w\n" in done.stderr
    assert torch.load(tmp_path / "out.pt")


@pytest.mark.parametrize("rule", PARTS.values(), ids=PARTS)
def test_ties_with_another_state_dict_ended_in_silence(mlc, tmp_path, rule):
    tied = torch.randn(4, 2)
    write(tmp_path / "in.pt", {"model": {"enc.w": torch.ones(4, 2), "dec.w": tied}, "ema": {"dec.w": tied.detach(), "o": torch.ones(1)}})
    (tmp_path / "rules.yaml").write_text(f"version: 1\nrules:\n  - {rule}\n")
    said = "tied before, and tensors of their own after these rules: model.dec.w and ema.dec.w\n"
    for key in ("model", "*"):
        for flags in (["-n"], ["-o", "out.pt", "--force"]):
            assert said in mlc.ok("remap-keys", "in.pt", "--key", key, "--rules", "rules.yaml", *flags).stderr
    assert torch.load(tmp_path / "out.pt")
    done = mlc.ok("remap-keys", "in.pt", "--key", "model", "--rules", "rules.yaml", "-o", "out.safetensors")
    assert "tied" not in done.stderr  # the other is not in it
    assert "tied" not in mlc.ok("remap-keys", "in.pt", "--key", "*", "--map", "dec.w=x", "-o", "out.pt", "--force").stderr
    write(tmp_path / "in.pt", {"model": {"enc.w": tied, "dec.w": tied.detach()}, "ema": {"o": tied.detach()}})
    done = mlc.ok("remap-keys", "in.pt", "--key", "model", "--rules", "rules.yaml", "-n")
    assert "after these rules: model.enc.w, model.dec.w and ema.o\n" in done.stderr


def test_tied_tensors_that_are_turned_alike_did_not_stay_tied(mlc, tmp_path):
    tied = torch.randn(4, 2)
    write(tmp_path / "in.pt", {"enc.w": tied, "dec.w": tied.detach()})
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - {suffix: .w, transpose: [1, 0]}\n")
    done = mlc.ok("remap-keys", "in.pt", "--rules", "rules.yaml", "-o", "out.pt")
    out = torch.load(tmp_path / "out.pt")
    assert "tied" not in done.stderr and out["enc.w"].data_ptr() == out["dec.w"].data_ptr()
    assert torch.equal(out["dec.w"], tied.T)


def test_rules_for_every_state_dict_did_not_say_in_which_they_matched_nothing(mlc, tmp_path):
    write(tmp_path / "in.pt", {"model": {"module.a": torch.ones(2), "module.b": torch.ones(2)}, "ema": {"module.a": torch.ones(2)}})
    done = mlc.ok("remap-keys", "in.pt", "--key", "*", "--map", "module.b=module.z", "-n")
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(warnings) == 3 and all(line.startswith("mlc: warning: ema: ") for line in warnings), warnings


def test_a_keep_behind_a_map_told_nothing_of_new_names(mlc, tmp_path):
    torch.save({"backbone.w": torch.ones(2), "head.w": torch.ones(2)}, tmp_path / "d.pt")
    done = mlc("remap-keys", "d.pt", "--map", "backbone.=", "--keep", "backbone.*", "-n")
    assert done.rc == 2
    assert "--keep 'backbone.*' matched nothing; by then backbone.w is w: write it for the new names" in done.stderr
    assert "--dry-run" not in done.stderr
    mlc.ok("remap-keys", "d.pt", "--keep", "backbone.*", "--map", "backbone.=", "-o", "o.pt")
    assert list(torch.load(tmp_path / "o.pt")) == ["w"]


def test_a_keep_dropped_without_a_word_what_a_map_had_renamed(mlc, tmp_path):
    keys = ["model.backbone.w", "model.backbone.b", "model.head.w", "model.head.b"]
    write(tmp_path / "in.pt", {key: torch.ones(2) for key in keys})
    trap = ("--map", "model.backbone.=", "--keep", "model.*")
    done = mlc.ok("remap-keys", "in.pt", *trap, "-n")
    said = ("--keep 'model.*' leaves out all 2 keys that --map 'model.backbone.=' renamed before it, such as w, which was "
            "model.backbone.w: write it for the new names, or put it before the options that rename\n")
    assert done.stderr.startswith("mlc: warning: " + said)
    assert mlc("remap-keys", "in.pt", *trap, "-n", "--strict").rc == 1
    # Of several --keep the one that was written for the old name, also where others keep a part.
    done = mlc.ok("remap-keys", "in.pt", "--map", "model.backbone.=", "--keep", "b", "--keep", "model.*", "-n")
    assert "--keep 'model.*' leaves out 1 key that --map 'model.backbone.=' renamed before it, such as w" in done.stderr
    done = mlc.ok("remap-keys", "in.pt", "--regex", "s/^model\\.head/top/", "--drop", "top.*", "-n")
    assert "--drop 'top.*' leaves out all 2 keys that --regex 's/^model\\.head/top/' renamed before it" in done.stderr
    # Options that were written for the names they see.
    for fine in (("--keep", "model.*", "--map", "model.backbone.="), ("--map", "model.=", "--keep", "head.*"),
                 ("--map", "model.=", "--drop", "head.*"), ("--add-prefix", "p.", "--keep", "*.w"), ("--map", "model.=", "--keep", "*.w")):
        assert "renamed before" not in mlc.ok("remap-keys", "in.pt", *fine, "-n", "--strict").stderr


def test_a_regex_that_stood_twice_in_a_join_was_said_to_match_nothing(mlc, tmp_path):
    write(tmp_path / "a.pt", {"module.a.weight": torch.ones(2, 2), "module.b.weight": torch.ones(2, 2)})
    (tmp_path / "rules.yaml").write_text(r"""
version: 1
rules:
  - match: ['^module\.a\.weight$', '^module\.b\.weight$', '^module\.a\.weight$']
    concat: {dim: 0, to: 'both'}
""")
    done = mlc("remap-keys", "a.pt", "--rules", "rules.yaml", "-o", "b.pt")
    assert done.rc == 2 and "both lacks its part 3: " in done.stderr and "stands twice in match" in done.stderr
    assert "no key matches" not in done.stderr


def test_a_rule_that_came_too_late_was_said_to_match_nothing(mlc, tmp_path):
    torch.save({"bn0.weight": torch.ones(2), "bn0.num_batches_tracked": torch.tensor(1)}, tmp_path / "m.pt")
    (tmp_path / "r.yaml").write_text("version: 1\nrules:\n  - {prefix: bn, to: norm}\n  - {glob: '*.num_batches_tracked', drop: true}\n")
    done = mlc.ok("remap-keys", "m.pt", "--rules", "r.yaml", "-n")
    assert "r.yaml:4: rule 2 matched nothing; it fits 1 key" in done.stderr and "bn0.num_batches_tracked goes to rule 1" in done.stderr


def test_rules_of_the_readme_do_what_they_say(mlc, root, tmp_path):
    text = (root / "README.md").read_text()
    start = text.index("```yaml\nversion: 1\nrules:")
    (tmp_path / "r.yaml").write_text(text[start + 8:text.index("```", start + 8)])
    keys = ["layer1.bn.num_batches_tracked", "layer1.attn.qkv.weight", "layer1.attn.qkv.bias", "layer2.fc.weight", "lm_head.weight"]
    torch.save({key: torch.randn(6, 2) for key in keys}, tmp_path / "m.pt")
    done = mlc.ok("remap-keys", "m.pt", "--rules", "r.yaml", "-o", "o.pt")
    assert "matched nothing" not in done.stderr
    out, given = torch.load(tmp_path / "o.pt"), torch.load(tmp_path / "m.pt")
    assert sorted(out) == sorted([f"blocks.1.attn.{p}.{end}" for p in "qkv" for end in ("weight", "bias")] + ["blocks.2.fc.weight", "classifier.weight"])
    assert torch.equal(out["classifier.weight"], given["lm_head.weight"].t())
    assert torch.equal(out["blocks.1.attn.k.bias"], given["layer1.attn.qkv.bias"][2:4])


def test_the_plan_listed_layer_10_before_layer_2(mlc, tmp_path):
    safetensors.torch.save_file({f"layers.{i}.w": torch.ones(1) for i in range(12)}, tmp_path / "a.safetensors")
    lines = mlc.ok("remap-keys", "a.safetensors", "--map", "layers.=h.", "-n").stdout.splitlines()
    assert [line.split()[0] for line in lines[:12]] == [f"layers.{i}.w" for i in range(12)]
    torch.save({"b.10": torch.ones(1), "b.2": torch.ones(1), "a": torch.ones(1)}, tmp_path / "m.pt")  # in the order of the module
    lines = mlc.ok("remap-keys", "m.pt", "--add-prefix", "x.", "-n").stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["b.10", "b.2", "a"]
