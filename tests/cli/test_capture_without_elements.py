"""Captures do not compute what convolutions and products of matrices give, only what it looks like. What hangs on
elements after all has to come out as it did."""

import re

import pytest
import torch
from torch import Tensor, nn

from test_capture import check, scripted

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore")]


def conv(*arguments, **named):
    return lambda: nn.Conv2d(3, 6, *arguments, **named)


class Unbatched(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)

    def forward(self, x):
        return self.conv(x[0])


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        return self.conv(x.to(memory_format=torch.channels_last)).permute(0, 2, 3, 1).contiguous()


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = self.proj(x.flatten(2).transpose(1, 2).repeat(1, 1, 3)[..., :8]).chunk(3, -1)
        b, n, _ = q.shape
        q, k, v = [t.reshape(b, n, 2, 4).transpose(1, 2) for t in (q, k, v)]
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, n, 8)


LAYERS = {
    "plain": conv(3),
    "stride_and_padding": conv((3, 5), stride=(2, 3), padding=(1, 0)),
    "dilation": conv(3, dilation=(2, 1), padding=2),
    "groups": lambda: nn.Conv2d(3, 6, 3, groups=3),
    "same": conv(4, padding="same", dilation=2),
    "valid": conv(3, padding="valid", bias=False),
    "reflect": conv(3, padding=2, padding_mode="reflect"),
    "transposed": lambda: nn.ConvTranspose2d(3, 4, 3, stride=(2, 3), padding=1, output_padding=(1, 2), dilation=(1, 2)),
    "transposed_groups": lambda: nn.ConvTranspose2d(3, 9, 2, stride=2, groups=3),
    "unbatched": Unbatched,
    "channels_last": ChannelsLast,
    "attention": Heads,
    "norms": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(3, 6), nn.ReLU(inplace=True), nn.BatchNorm2d(6), nn.Hardswish(),
                                   nn.InstanceNorm2d(6)),
    "pools": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d((1, 3)),
                                   nn.Flatten(), nn.Linear(18, 4), nn.LayerNorm(4)),
    "upsampling": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2), nn.Upsample(scale_factor=1.5, mode="bilinear"),
                                        nn.ZeroPad2d((1, 2, 0, 1)), nn.PReLU(2)),
    "rolled": lambda: nn.Sequential(nn.Conv2d(3, 4, 1), Rolled()),
}


class Rolled(nn.Module):
    def forward(self, x):
        x = torch.where(x > 0, x, x.roll([1, 2], [2, 3])).masked_fill(x > 3, 0.0)
        return x.std(1) + x.flip([2]).mean(1).unsqueeze(0)


class Named(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize("name", LAYERS)
def test_sizes_are_those_that_torch_gives(tmp_path, name):
    path = scripted(tmp_path, lambda: Named(LAYERS[name]()))
    rc, out, err = check(tmp_path, path, ["x:f32[batch=2,3,h=8,w=9]"], ["batch=3,h=13,w=12"])
    assert rc == 0, out + err
    text = re.findall(r": f32\[([^\]]*)\] = aten::", out)[-1]
    model = torch.jit.load(tmp_path / path)
    for batch, height, width in ((2, 8, 9), (3, 13, 12), (1, 10, 17)):
        sizes = eval(f"({text},)", {"batch": batch, "h": height, "w": width})  # pylint: disable=eval-used
        assert sizes == tuple(model(torch.rand(batch, 3, height, width)).shape)


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4096, 3, padding=1)
        self.back = nn.Conv2d(4096, 1, 1)

    def forward(self, x):
        return self.back(torch.relu(self.conv(x)))


def test_no_memory_for_activations_is_needed(tmp_path):
    """At the sizes of the example alone they take 17 GB, and 300 s."""
    rc, out, err = check(tmp_path, scripted(tmp_path, Wide), ["x:f32[batch=1,1,1024,1024]"])
    assert rc == 0, err
    assert "f32[batch, 4096, 1024, 1024] = aten::" in out


class WithLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("table", torch.rand(10, 4))
        self.register_buffer("picked", torch.tensor([0, 5]))


class Branches(WithLayer):
    def forward(self, x):
        y = self.layer(x)
        if bool(y.sum() > 0):
            y = y * 2
        return y


class Finds(WithLayer):
    def forward(self, x):
        return torch.nonzero(self.layer(x) > 0)


class Chooses(WithLayer):
    def forward(self, x):
        y = self.layer(x)
        return y[y > 0]


class Reads(WithLayer):
    def forward(self, x):
        y = self.layer(x)
        return x * float(y.max())


class Collects(WithLayer):
    def forward(self, x):
        out = torch.zeros(x.size(0), x.size(1), 4)
        out[:, 0] = self.layer(x)[:, 0]
        if bool(out.sum() > 0):
            out = out + 1
        return out


class Counts(WithLayer):
    def forward(self, x):
        n = int(self.layer(x).argmax(-1).max()) + 1
        return torch.ones(n).sum() + x


class Picks(WithLayer):
    def forward(self, x):
        return self.layer(x)[:, self.picked]


class Like(WithLayer):
    def forward(self, x):
        y = self.layer(x)
        mask = torch.ones(x.size(1), 1)
        mask = mask.expand_as(y[0]).to(y.dtype)
        return (y * mask).type_as(x) + torch.zeros(1, device=y.device)


@pytest.mark.parametrize("module", [Branches, Finds, Chooses, Reads, Collects, Counts, Picks, Like], ids=lambda one: one.__name__)
def test_what_hangs_on_elements_comes_out_right(tmp_path, module):
    rc, out, err = check(tmp_path, scripted(tmp_path, module), ["x:f32[batch=2,seq=6,4]"], ["batch=3,seq=9", "batch=1,seq=7"])
    assert rc == 0, out + err
    assert out.count("# same") >= 2


class LooksUp(WithLayer):
    def forward(self, x):
        places = torch.arange(x.size(1)).unsqueeze(0)
        rows: Tensor = self.layer(self.table[:4])
        return x + rows[places]


class Gathers(WithLayer):
    def forward(self, x):
        rows = self.layer(self.table[:4])
        return x + rows.gather(0, torch.arange(x.size(1)).unsqueeze(1).expand(-1, 4)).unsqueeze(0)


@pytest.mark.parametrize("module", [LooksUp, Gathers])
def test_a_table_that_is_computed_limits_a_size(tmp_path, module):
    rc, _, err = check(tmp_path, scripted(tmp_path, module), ["x:f32[batch=2,seq=4,4]"])
    assert rc == 3 and "seq up to 4" in err, err


class Misfits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 7)

    def forward(self, x):
        return self.conv(x)


def test_what_a_convolution_refuses_is_named(tmp_path):
    path = scripted(tmp_path, Misfits)
    rc, _, err = check(tmp_path, path, ["x:f32[batch=2,3,5,5]"])
    assert rc == 3 and "Kernel size can't be greater than actual input size" in err, err
    rc, _, err = check(tmp_path, path, ["x:f32[batch=2,4,9,9]"])
    assert rc == 3 and "to have 3 channels" in err, err
