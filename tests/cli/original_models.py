"""The PyTorch originals of examples/architectures, with the names of torchvision and transformers.

Written out here, because the tests install neither. ORIGINALS: file name -> (model, inputs).
"""

import sys
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/digits"))


def digits_cnn():
    from train import DigitsCnn  # pylint: disable=import-outside-toplevel,import-error
    return DigitsCnn(16, 4)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, image):
        x = self.pool(F.relu(self.conv1(image)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


# --- torchvision


def projection(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride, downsample):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + identity)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, stride, downsample):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + identity)


class ResNet(nn.Module):
    def __init__(self, block, counts):
        super().__init__()
        self.inputs = 64
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self.stage(block, 64, counts[0], 1)
        self.layer2 = self.stage(block, 128, counts[1], 2)
        self.layer3 = self.stage(block, 256, counts[2], 2)
        self.layer4 = self.stage(block, 512, counts[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, 1000)

    def stage(self, block, width, count, stride):
        outputs = width * block.expansion
        changes = stride != 1 or self.inputs != outputs
        blocks = [block(self.inputs, width, stride, projection(self.inputs, outputs, stride) if changes else None)]
        self.inputs = outputs
        return nn.Sequential(*blocks, *(block(outputs, width, 1, None) for _ in range(count - 1)))

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class Vgg11(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for width in [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0]:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(True)] if width else [nn.MaxPool2d(2, 2)]
            inputs = width or inputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(),
            nn.Linear(4096, 1000))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def conv_norm_act(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden = inputs * expand
        self.shortcut = stride == 1 and inputs == outputs
        first = [conv_norm_act(inputs, hidden, 1)] if expand != 1 else []
        self.conv = nn.Sequential(*first, conv_norm_act(hidden, hidden, 3, stride, hidden),
                                  nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [conv_norm_act(3, 32, 3, 2)], 32
        for expand, outputs, count, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                               (6, 160, 3, 2), (6, 320, 1, 1)]:
            for i in range(count):
                layers.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expand))
                inputs = outputs
        self.features = nn.Sequential(*layers, conv_norm_act(320, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class VitLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, 12, batch_first=True)
        self.dropout = nn.Dropout(0.0)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, width * 4), nn.GELU(), nn.Dropout(0.0), nn.Linear(width * 4, width), nn.Dropout(0.0))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.dropout(self.self_attention(y, y, y, need_weights=False)[0])
        return x + self.mlp(self.ln_2(x))


class VitEncoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, 50, width))
        self.dropout = nn.Dropout(0.0)
        self.layers = nn.Sequential()
        for i in range(12):
            self.layers.add_module(f"encoder_layer_{i}", VitLayer(width))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VitB32(nn.Module):
    def __init__(self, width=768):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.conv_proj = nn.Conv2d(3, width, 32, 32)
        self.encoder = VitEncoder(width)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(width, 1000))

    def forward(self, image):
        x = self.conv_proj(image).flatten(2).transpose(1, 2)
        x = self.encoder(torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1))
        return self.heads(x[:, 0])


# --- small ones


def double_conv(inputs, outputs):
    layers = []
    for width in [inputs, outputs]:
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    holder = nn.Module()
    holder.layers = nn.Sequential(*layers)
    return holder


class UNet(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.first = double_conv(3, width)
        self.downs = nn.ModuleList(double_conv(width * k, width * k * 2) for k in [1, 2, 4])
        self.ups = nn.ModuleList()
        for k in [8, 4, 2]:
            up = nn.Module()
            up.up = nn.ConvTranspose2d(width * k, width * k // 2, 2, 2)
            up.conv = double_conv(width * k, width * k // 2)
            self.ups.append(up)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        x = self.first.layers(x)
        skips = []
        for down in self.downs:
            skips.append(x)
            x = down.layers(F.max_pool2d(x, 2))
        for up in self.ups:
            x = up.conv.layers(torch.cat([skips.pop(), up.up(x)], 1))
        return self.head(x)


class LstmClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=0)
        self.lstm = nn.LSTM(32, 48, 2, batch_first=True, dropout=0.2, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(96, 4)

    def forward(self, tokens):
        _, (hidden, _) = self.lstm(self.embedding(tokens))
        return self.fc(self.dropout(torch.cat([hidden[-2], hidden[-1]], 1)))


class TransformerClassifier(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 64, width))
        self.embedding = nn.Embedding(500, width)
        layer = nn.TransformerEncoderLayer(width, 4, 128, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, nn.LayerNorm(width))
        self.fc = nn.Linear(width, 5)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position[:, :tokens.shape[1]]
        return self.fc(self.encoder(x).mean(1))


# --- transformers


class BertEmbeddings(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.word_embeddings = nn.Embedding(30522, width, padding_idx=0)
        self.position_embeddings = nn.Embedding(512, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.register_buffer("position_ids", torch.arange(512).expand(1, -1), persistent=False)

    def forward(self, ids):
        x = self.word_embeddings(ids) + self.token_type_embeddings(torch.zeros_like(ids))
        return self.LayerNorm(x + self.position_embeddings(self.position_ids[:, :ids.shape[1]]))


def bert_output(inputs, width):
    holder = nn.Module()
    holder.dense = nn.Linear(inputs, width)
    holder.LayerNorm = nn.LayerNorm(width, eps=1e-12)
    return holder


class BertLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.Module()
        self.attention.self = nn.Module()
        for name in ["query", "key", "value"]:
            setattr(self.attention.self, name, nn.Linear(width, width))
        self.attention.output = bert_output(width, width)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, width * 4)
        self.output = bert_output(width * 4, width)

    def forward(self, x, mask):
        inner = self.attention.self
        q, k, v = (part(x).unflatten(2, (12, -1)).transpose(1, 2) for part in [inner.query, inner.key, inner.value])
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        y = (scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = self.attention.output.LayerNorm(self.attention.output.dense(y) + x)
        return self.output.LayerNorm(self.output.dense(F.gelu(self.intermediate.dense(x))) + x)


class Bert(nn.Module):
    def __init__(self, width=768):
        super().__init__()
        self.embeddings = BertEmbeddings(width)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(BertLayer(width) for _ in range(12))
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(width, width)

    def forward(self, ids, mask):
        x = self.embeddings(ids)
        for layer in self.encoder.layer:
            x = layer(x, mask[:, None, None, :] != 0)
        return x, torch.tanh(self.pooler.dense(x[:, 0]))


class Conv1D(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class GptBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.Module()
        self.attn.c_attn = Conv1D(width, width * 3)
        self.attn.c_proj = Conv1D(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.c_fc = Conv1D(width, width * 4)
        self.mlp.c_proj = Conv1D(width * 4, width)

    def forward(self, x):
        q, k, v = (part.unflatten(2, (12, -1)).transpose(1, 2) for part in self.attn.c_attn(self.ln_1(x)).chunk(3, 2))
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(2, 3) / 8).masked_fill(hidden, float("-inf"))
        x = x + self.attn.c_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, width=768):
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(50257, width)
        self.transformer.wpe = nn.Embedding(1024, width)
        self.transformer.h = nn.ModuleList(GptBlock(width) for _ in range(12))
        self.transformer.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, 50257, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, ids):
        x = self.transformer.wte(ids) + self.transformer.wpe(torch.arange(ids.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


class LlamaLayer(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.self_attn = nn.Module()
        for name, outputs in [("q_proj", width), ("k_proj", width // 2), ("v_proj", width // 2), ("o_proj", width)]:
            setattr(self.self_attn, name, nn.Linear(width, outputs, bias=False))
        self.mlp = nn.Module()
        self.mlp.gate_proj = nn.Linear(width, hidden, bias=False)
        self.mlp.up_proj = nn.Linear(width, hidden, bias=False)
        self.mlp.down_proj = nn.Linear(hidden, width, bias=False)
        self.input_layernorm = nn.RMSNorm(width, eps=1e-6)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-6)

    def attend(self, x, turn):
        a = self.self_attn
        q, k, v = (part(x).unflatten(2, (-1, 16)).transpose(1, 2) for part in [a.q_proj, a.k_proj, a.v_proj])
        k, v = (part.repeat_interleave(2, 1) for part in [turn(k), v])
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        scores = (turn(q) @ k.transpose(2, 3) / 4).masked_fill(hidden, float("-inf"))
        return a.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def forward(self, x, turn):
        x = x + self.attend(self.input_layernorm(x), turn)
        y = self.post_attention_layernorm(x)
        return x + self.mlp.down_proj(F.silu(self.mlp.gate_proj(y)) * self.mlp.up_proj(y))


def rotation(length):
    """Turns pairs (x[i], x[i + 8]) of heads of 16 by angles that grow with the position."""
    angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(8) / 8)
    turns = torch.polar(torch.ones_like(angles), angles)

    def turn(x):
        turned = torch.complex(x[..., :8].contiguous(), x[..., 8:].contiguous()) * turns
        return torch.cat([turned.real, turned.imag], -1)

    return turn


class Llama(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(512, width)
        self.model.layers = nn.ModuleList(LlamaLayer(width, 176) for _ in range(3))
        self.model.norm = nn.RMSNorm(width, eps=1e-6)
        self.lm_head = nn.Linear(width, 512, bias=False)

    def forward(self, ids):
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, rotation(ids.shape[1]))
        return self.lm_head(self.model.norm(x))


def image(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def tokens(high, *shape):
    return torch.randint(1, high, shape, generator=torch.Generator().manual_seed(2))


# Two sizes of inputs each, where the model takes more than one.
ORIGINALS = {
    "digits_cnn": (digits_cnn, [[image(1, 1, 8, 8)], [image(5, 1, 8, 8)]]),
    "lenet": (LeNet, [[image(2, 1, 28, 28)], [image(1, 1, 28, 28)]]),
    "resnet18": (lambda: ResNet(BasicBlock, [2, 2, 2, 2]), [[image(1, 3, 64, 64)], [image(2, 3, 75, 96)]]),
    "resnet50": (lambda: ResNet(Bottleneck, [3, 4, 6, 3]), [[image(1, 3, 64, 64)], [image(2, 3, 75, 96)]]),
    "mobilenet_v2": (MobileNetV2, [[image(1, 3, 64, 64)], [image(2, 3, 75, 96)]]),
    "vgg11": (Vgg11, [[image(1, 3, 64, 64)]]),
    "unet": (UNet, [[image(1, 3, 16, 24)], [image(2, 3, 32, 32)]]),
    "lstm_classifier": (LstmClassifier, [[tokens(1000, 2, 7)], [tokens(1000, 3, 4)]]),
    "transformer_encoder": (TransformerClassifier, [[tokens(500, 2, 7)], [tokens(500, 3, 4)]]),
    "vit_b_32": (VitB32, [[image(1, 3, 224, 224)], [image(2, 3, 224, 224)]]),
    "bert_base": (Bert, [[tokens(30522, 1, 6), torch.ones(1, 6, dtype=torch.int64)],
                         [tokens(30522, 2, 5), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])]]),
    "gpt2": (Gpt2, [[tokens(50257, 1, 6)], [tokens(50257, 2, 3)]]),
    "llama_small": (Llama, [[tokens(512, 1, 6)], [tokens(512, 2, 9)]]),
}
