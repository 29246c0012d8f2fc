"""Which name of a tied tensor safetensors files and shards hold: the one that every reader looks for."""

import json

import pytest
import safetensors
import safetensors.torch
import torch

from checkpoints import ordered, write


def names(path):
    with safetensors.safe_open(path, "pt") as file:
        return sorted(file.keys()), file.metadata()


def tied_state(**more):
    weight = torch.arange(6.0).reshape(2, 3)
    return ordered(**{"transformer.wte.weight": weight, "h.bias": torch.ones(2), "lm_head.weight": weight.detach(), **more})


def test_the_name_that_sorts_first_was_kept_instead_of_the_embedding(mlc, tmp_path):
    write(tmp_path / "a.pt", tied_state())
    report = mlc.ok("save", "a.pt", "-o", "a.safetensors", "--json").json
    assert report["aliases"] == {"lm_head.weight": "transformer.wte.weight"}
    keys, metadata = names(tmp_path / "a.safetensors")
    assert keys == ["h.bias", "transformer.wte.weight"] and metadata["lm_head.weight"] == "transformer.wte.weight"
    mlc.ok("diff", "a.pt", "a.safetensors")


@pytest.mark.parametrize("same", [False, True], ids=["two tensors", "one object"])
def test_an_index_by_the_alphabet_does_not_change_the_name_that_stays(mlc, tmp_path, same):
    state = tied_state()
    if same:
        state["lm_head.weight"] = state["transformer.wte.weight"]
    write(tmp_path / "a.pt", state)
    mlc.ok("save", "a.pt", "-o", "bin", "--format", "pt", "--max-shard-size", "24B")
    index = json.loads((tmp_path / "bin/pytorch_model.bin.index.json").read_text())
    assert list(index["weight_map"]) == sorted(state)
    mlc.ok("save", "bin", "-o", "b.safetensors")
    assert names(tmp_path / "b.safetensors")[0] == ["h.bias", "transformer.wte.weight"]
    mlc.ok("save", "bin", "-o", "st", "--max-shard-size", "24B")
    index = json.loads((tmp_path / "st/model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == {"h.bias", "transformer.wte.weight"}
    for output in ("bin", "b.safetensors", "st"):
        mlc.ok("diff", "a.pt", output)
        mlc.ok("save", output, "-o", "back.pt", "--force")
        found = torch.load(tmp_path / "back.pt")
        assert found["lm_head.weight"].data_ptr() == found["transformer.wte.weight"].data_ptr()


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = torch.nn.Embedding(3, 4)
        self.head = torch.nn.Linear(4, 3, bias=False)
        self.head.weight = self.wte.weight


def test_load_model_of_safetensors_takes_the_first_name(mlc, tmp_path):
    model, other = Tied(), Tied()
    torch.save(model.state_dict(), tmp_path / "a.pt")
    mlc.ok("save", "a.pt", "-o", "a.safetensors")
    assert names(tmp_path / "a.safetensors")[0] == ["wte.weight"]
    assert safetensors.torch.load_model(other, tmp_path / "a.safetensors") == (set(), [])
    assert torch.equal(other.head.weight, model.wte.weight) and other.head.weight is other.wte.weight


def tiny(transformers, kind):
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=16, n_positions=8)
        return config, transformers.GPT2LMHeadModel, transformers.GPT2Model
    config = transformers.LlamaConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                      num_key_value_heads=2, vocab_size=16, tie_word_embeddings=True)
    return config, transformers.LlamaForCausalLM, transformers.LlamaModel


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "shards"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_models_without_a_head_missed_their_embedding(mlc, tmp_path, kind, sharded):
    transformers = pytest.importorskip("transformers")
    config, with_head, without_head = tiny(transformers, kind)
    torch.manual_seed(0)
    model = with_head(config).eval()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    if sharded:
        mlc.ok("save", "model.pt", "-o", "out", "--max-shard-size", "1500B")
        assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    else:
        (tmp_path / "out").mkdir()
        mlc.ok("save", "model.pt", "-o", "out/model.safetensors")
    config.save_pretrained(tmp_path / "out")
    wanted = model.get_input_embeddings().weight
    for kind_of_model in (with_head, without_head):
        loaded, told = kind_of_model.from_pretrained(tmp_path / "out", output_loading_info=True)
        assert not told["missing_keys"] and not told["mismatched_keys"]
        assert torch.equal(loaded.get_input_embeddings().weight, wanted)
    theirs = tmp_path / "theirs"
    model.save_pretrained(theirs)
    if not sharded:
        assert names(tmp_path / "out/model.safetensors")[0] == names(theirs / "model.safetensors")[0]


class OwnName(torch.nn.Module):
    """Has a weight of its part under a name without a dot too."""

    def __init__(self):
        super().__init__()
        self.enc = torch.nn.Linear(2, 2)
        self.w = self.enc.weight


def test_a_tied_name_without_a_dot_was_lost(mlc, tmp_path):
    safetensors.torch.save_model(OwnName(), tmp_path / "m.safetensors")
    assert names(tmp_path / "m.safetensors")[1]["w"] == "enc.weight"
    mlc.ok("save", "m.safetensors", "-o", "m.pt")
    OwnName().load_state_dict(torch.load(tmp_path / "m.pt"))
    mlc.ok("strip-module-prefix", "m.safetensors", "--add", "model", "-o", "n.safetensors")
    outer = torch.nn.Module()
    outer.model = OwnName()
    assert safetensors.torch.load_model(outer, tmp_path / "n.safetensors") == (set(), [])
    # A text that only looks like one stays a text.
    safetensors.torch.save_file({"weight": torch.ones(1)}, tmp_path / "t.safetensors", {"best": "weight"})
    mlc.ok("save", "t.safetensors", "-o", "t.pt")
    assert list(torch.load(tmp_path / "t.pt")) == ["weight"]


@pytest.mark.parametrize("same", [False, True], ids=["two tensors", "one object"])
def test_a_merge_parted_tied_tensors_without_a_word(mlc, tmp_path, same):
    weight = torch.zeros(2)
    write(tmp_path / "tied.pt", {"emb.weight": weight, "x": torch.ones(1), "head.weight": weight if same else weight.detach()})
    write(tmp_path / "emb.pt", {"emb.weight": torch.ones(2)})
    write(tmp_path / "both.pt", {"emb.weight": torch.ones(2), "head.weight": torch.ones(2)})
    last = mlc.ok("save", "tied.pt", "emb.pt", "--merge", "--on-conflict", "last", "-o", "last.pt").stderr
    assert ("kept as they were, and no longer tied to what is replaced by that of emb.pt, which --from would change "
            "together: head.weight is emb.weight\n") in last
    first = mlc.ok("save", "emb.pt", "tied.pt", "--merge", "--on-conflict", "first", "-o", "first.pt").stderr
    assert "tied in tied.pt to what is not taken from it, and added as it is there: head.weight is emb.weight\n" in first
    for output in ("last.pt", "first.pt"):
        found = torch.load(tmp_path / output)
        assert found["emb.weight"].tolist() == [1, 1] and found["head.weight"].tolist() == [0, 0]
    for inputs, choice in ((("emb.pt", "tied.pt"), "last"), (("tied.pt", "emb.pt"), "first"), (("tied.pt", "both.pt"), "last")):
        assert "tied" not in mlc.ok("save", *inputs, "--merge", "--on-conflict", choice, "-o", "o.pt", "-f").stderr.replace("tied.pt", "")
