"""Every --json answer of load, save, strip-module-prefix and remap-keys fits its schema."""

import argparse
import json

import pytest
import torch

from checkpoints import small_model, training_checkpoint, write

COMMANDS = [
    ("load", "load train.pt"),
    ("load", "load train.pt --summary"),
    ("load", "load train.pt --stats --globals --tree --check crc"),
    ("load", "load train.pt --check sha256 --map-location cuda:0"),
    ("load", "load two.pt"),
    ("load", "load unsafe.pt --globals"),
    ("load", "load odd.pt --stats --check sha256"),
    ("load", "load module.pt"),
    ("load", "load old.pt --check crc"),
    ("load", "load plain.pt --expect train.pt --no-strict"),
    ("load", "load meta.pt"),
    ("save", "save train.pt -o a.pt"),
    ("save", "save train.pt -o a.safetensors"),
    ("save", "save unsafe.pt -o a.pt --safe"),
    ("save", "save plain.pt --from train.pt -o a.pt --dtype fp16"),
    ("save", "save plain.pt -o shards --max-shard-size 60B"),
    ("save", "save plain.pt -o a.pt -n"),
    ("save", "save plain.pt --in-place"),
    ("strip-module-prefix", "strip-module-prefix ddp.pt -o a.pt"),
    ("strip-module-prefix", "strip-module-prefix ddp.pt --in-place"),
    ("strip-module-prefix", "strip-module-prefix ddp.pt -n -o a.pt"),
    ("strip-module-prefix", "strip-module-prefix plain.pt --skip-unchanged -o a.pt"),
    ("strip-module-prefix", "strip-module-prefix two.pt --key * --add p. -o a.pt"),
    ("remap-keys", "remap-keys plain.pt --map 0=stem --drop 1.* -o a.pt"),
    ("remap-keys", "remap-keys plain.pt --rules rules.yaml -o a.pt"),
    ("remap-keys", "remap-keys plain.pt --rules rules.yaml -n --in-place"),
    ("remap-keys-names", "remap-keys keys.txt --only-names --map a=b"),
    ("quantize", "quantize plain.pt -o a.pt --min-elements 1"),
    ("quantize", "quantize wide.pt -n --scheme int4"),
    ("quantize", "quantize wide.pt -o a.safetensors --min-sqnr 45"),
    ("dequantize", "dequantize int8.pt -o a.pt"),
    ("prune", "prune wide.pt -o a.pt --amount 0.6"),
    ("prune", "prune plain.pt -n --amount 2 --scope global"),
    ("prune", "prune wide.pt -o a.safetensors --pattern 2:4"),
    ("prune", "prune wide.pt -o a.pt --method random --amount 50% --keep-masks"),
    ("batch", "prune train.pt wide.pt --out-dir out --amount 0.3"),
    ("batch", "quantize train.pt wide.pt --out-dir out"),
    ("batch", "load train.pt plain.pt nope.pt --keep-going"),
    ("batch", "save train.pt plain.pt --out-dir out"),
    ("batch", "strip-module-prefix ddp.pt plain.pt --out-dir out"),
    ("batch", "remap-keys ddp.pt plain.pt --add-prefix p. --out-dir out"),
]

RULES = """
version: 1
rules:
  - exact: 0.weight
    split: {dim: 0, sizes: [1, 2], to: [q, k]}
  - match: ['^1\\.(weight)$', '^1\\.(bias)$']
    concat: {dim: 0, to: both}
  - exact: 2.1.weight
    transpose: [1, 0]
"""


@pytest.fixture
def files(mlc, tmp_path):
    model = small_model()
    write(tmp_path / "train.pt", training_checkpoint())
    write(tmp_path / "plain.pt", model.state_dict())
    write(tmp_path / "old.pt", model.state_dict(), legacy=True)
    write(tmp_path / "module.pt", model)
    write(tmp_path / "ddp.pt", torch.nn.DataParallel(model).state_dict())
    write(tmp_path / "two.pt", {"model": model.state_dict(), "ema": model.state_dict()})
    write(tmp_path / "unsafe.pt", {"model": model.state_dict(), "args": argparse.Namespace(lr=1)})
    write(tmp_path / "odd.pt", {
        "sparse": torch.eye(3).to_sparse(), "csr": torch.eye(3).to_sparse_csr(), "meta": torch.empty(2, device="meta"),
        "nan": torch.tensor([float("nan")]), "complex": torch.ones(2, dtype=torch.complex64), "empty": torch.empty(0, 2),
        "quantized": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8), "\u00e9\n\"": torch.ones(1).bool()})
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "keys.txt").write_text("a.x\nb\n")
    mlc.ok("save", "plain.pt", "-o", "meta.pt", "--set", "name=digits")
    wide = {"a.weight": torch.randn(80, 64), "b.weight": torch.zeros(80, 64), "c.weight": torch.full((80, 64), torch.nan)}
    write(tmp_path / "wide.pt", {**wide, "d.weight": wide["a.weight"]})
    mlc.ok("quantize", "wide.pt", "-o", "int8.pt")


@pytest.mark.parametrize("schema, command", COMMANDS, ids=[command for _, command in COMMANDS])
def test_answer_fits_its_schema(mlc, valid, files, schema, command):
    result = mlc(*command.split(), "--json")
    valid(result.json, schema)
    if schema == "batch":
        for row in result.json["results"]:
            if "result" in row:
                valid(row["result"], command.split()[0])


@pytest.mark.parametrize("command", [
    "load nope.pt", "save two.pt -o a.safetensors", "save plain.pt -o plain.pt", "save plain.pt -o train.pt",
    "strip-module-prefix plain.pt", "remap-keys plain.pt --map 0=1 -o a.pt", "remap-keys plain.pt --rules keys.txt -o a.pt",
    "load plain.pt --key nope", "load rules.yaml",
])
def test_error_fits_its_schema(mlc, valid, files, command):
    result = mlc(*command.split(), "--json")
    assert result.rc in (1, 2, 3, 4, 5)
    valid(result.error, "error")


@pytest.mark.parametrize("name", [
    "load", "save", "strip-module-prefix", "remap-keys", "remap-keys-names", "quantize", "dequantize", "prune"])
def test_shipped_examples_fit_their_schemas(root, valid, name):
    valid(json.loads((root / f"schemas/examples/{name}.json").read_text()), name)
