"""Programs as torch.export makes them. CASES: name -> (module, inputs, dynamic shapes, more inputs)."""

import torch
from torch import nn

BATCH = torch.export.Dim("batch", min=1, max=64)
STEPS = torch.export.Dim("steps", min=2, max=40)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.inner = kind(4, 5, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.inner(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, mask=None):
        return self.inner(x, x, x, key_padding_mask=mask)


class Sizes(nn.Module):
    """Arithmetic on sizes, a number for an argument, nested results with numbers among them."""

    def forward(self, x, n: int):
        rows = x.shape[0]
        return x.view(rows * 2, -1) * n, rows // 2 + n, {"wide": x.new_zeros(x.shape[1], rows + 1), "pair": [x, (x + 1,)]}


class Condition(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda a: (a + 1, a * 2), lambda a: (a - 1, a * 3), (x,))


class Loop(nn.Module):
    def forward(self, x):
        from torch._higher_order_ops.while_loop import while_loop  # pylint: disable=import-outside-toplevel
        return while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * 2), (torch.tensor(0), x))


class Tokens(nn.Module):
    """Tied and transposed parameters, a buffer outside of the state_dict, writes, gathers, constants."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 4)
        self.head = nn.Linear(4, 20, bias=False)
        self.head.weight = self.table.weight
        self.register_buffer("places", torch.arange(12.0).reshape(3, 4), persistent=False)
        self.turned = nn.Parameter(torch.randn(4, 4).t())

    def forward(self, ids):
        hidden = self.table(ids) @ self.turned + self.places[1]
        steps = hidden.shape[1]
        mask = torch.zeros(steps, steps).masked_fill(torch.ones(steps, steps, dtype=torch.bool).triu(1), float("-inf"))
        hidden = (hidden @ hidden.transpose(1, 2) + mask).softmax(-1) @ hidden
        best = hidden.argmax(-1)
        written = hidden.clone()
        written[:, 0] = 0
        written.index_add_(0, torch.tensor([0]), hidden[:1])
        return self.head(written), best, hidden.topk(2).values, hidden.scatter(2, best.unsqueeze(-1), 1.0)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return x + self.calls


class Unknown(nn.Module):
    """Sizes that hang on the data."""

    def forward(self, x):
        count = x.sum().to(torch.int64).item()
        torch._check(count >= 0)
        torch._check(count < 100)
        return x.nonzero().squeeze(-1) * 2, torch.zeros(count) + 1, x[x > 0.5]


class Mixed(nn.Module):
    """Arguments by name, one left out, half precision, lists of tensors."""

    def forward(self, x, *, scale, bias=None):
        parts = torch.chunk(x.to(torch.bfloat16), 2, 1)
        y = torch.cat([part * scale for part in parts], 1).float()
        y = y if bias is None else y + bias
        return {"y": y, "up": nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear"), "std": x.std()}


def convolutional():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3))


def perceptron():
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2))


def encoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False)


def ids(*shape):
    return torch.randint(0, 20, shape)


CASES = {
    "perceptron": (perceptron, (torch.randn(2, 4),), ({0: BATCH},), [(torch.randn(5, 4),)]),
    "convolutional": (convolutional, (torch.randn(2, 3, 16, 16),), ({0: BATCH},), [(torch.randn(7, 3, 16, 16),)]),
    "lstm": (lambda: Recurrent(nn.LSTM), (torch.randn(2, 7, 4),), ({0: BATCH},), [(torch.randn(3, 7, 4),)]),
    "gru": (lambda: Recurrent(nn.GRU), (torch.randn(2, 7, 4),), None, []),
    "attention": (Attention, (torch.randn(2, 5, 8),), None, []),
    "masked": (Attention, (torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])), None, []),
    "encoder": (encoder, (torch.randn(2, 5, 8),), ({0: BATCH, 1: STEPS},), [(torch.randn(3, 9, 8),)]),
    "sizes": (Sizes, (torch.randn(4, 6), 3), ({0: BATCH}, torch.export.Dim.DYNAMIC), [(torch.randn(10, 6), 7)]),
    "condition": (Condition, (torch.randn(3),), None, [(torch.ones(3),), (-torch.ones(3),)]),
    "loop": (Loop, (torch.randn(3),), None, []),
    "tokens": (Tokens, (ids(2, 6),), ({0: BATCH, 1: STEPS},), [(ids(3, 9),)]),
    "counter": (Counter, (torch.randn(3),), None, []),
    "unknown": (Unknown, (torch.tensor([0.0, 1, 1, 0]),), None, [(torch.tensor([1.0, 1, 1, 0]),)]),
}
