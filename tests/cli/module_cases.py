"""For every module type of the architecture YAML: arguments, and inputs that its forward takes.

A case is (arguments, inputs...). An input is a shape (a tuple: random floats), a tensor, or
anything else that is passed as it is. {"type": ...} in the arguments is a module.
"""

import torch

INF = float("inf")


def ids(high, *shape):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(0))


def causal(size):
    return torch.triu(torch.ones(size, size, dtype=torch.bool), 1)


def same(inputs, *arguments):
    """Several arguments with the same inputs."""
    return [(one, *inputs) for one in arguments]


def convolutions():
    out = {}
    sizes = {1: (2, 6, 11), 2: (2, 6, 11, 9), 3: (2, 6, 7, 8, 9)}
    for n, shape in sizes.items():
        base = {"in_channels": 6, "out_channels": 4, "kernel_size": 3}
        tuples = {"kernel_size": [3, 2, 1][:n], "stride": [2, 1, 3][:n], "padding": [1, 0, 2][:n]}
        out[f"Conv{n}d"] = same(
            [shape], base, {**base, "bias": False, "groups": 2}, {**base, **tuples, "dilation": [1, 2, 1][:n]},
            {**base, "padding": "same"}, {**base, "padding": "same", "kernel_size": 4, "dilation": 1},
            {**base, "padding": "valid"}, {**base, "padding": "same", "padding_mode": "circular", "kernel_size": 2},
            {**base, "padding": 2, "padding_mode": "reflect"}, {**base, "padding": [2, 1, 0][:n], "padding_mode": "replicate"},
            {**base, "padding": 1, "padding_mode": "circular", "dtype": "float32"})
        out[f"ConvTranspose{n}d"] = same(
            [shape], base, {**base, "bias": False, "groups": 2}, {**base, **tuples, "stride": 3, "output_padding": [1, 2, 0][:n]},
            {**base, "dilation": 2, "stride": [2, 1, 2][:n], "output_padding": [1, 0, 1][:n]})
    return out


def norms():
    out = {}
    shapes = {1: (4, 6, 5), 2: (4, 6, 5, 3), 3: (4, 6, 3, 2, 3)}
    for n, shape in shapes.items():
        base = {"num_features": 6}
        variants = [base, {**base, "eps": 0.1, "momentum": 0.3}, {**base, "affine": False}, {**base, "affine": True, "bias": False},
                    {**base, "track_running_stats": False}, {**base, "affine": True, "track_running_stats": True},
                    {**base, "dtype": "float32"}]
        out[f"BatchNorm{n}d"] = same([shape], *variants, {**base, "momentum": None})
        out[f"InstanceNorm{n}d"] = same([shape], *variants)
    out["SyncBatchNorm"] = same([(4, 6, 5)], {"num_features": 6}, {"num_features": 6, "affine": False}, {"num_features": 6, "eps": 0.1})
    out["BatchNorm1d"].append(({"num_features": 6}, (4, 6)))
    out["LayerNorm"] = same([(2, 3, 4)], {"normalized_shape": 4}, {"normalized_shape": [3, 4], "eps": 0.01},
                            {"normalized_shape": 4, "elementwise_affine": False}, {"normalized_shape": 4, "bias": False})
    out["GroupNorm"] = same([(2, 6, 5)], {"num_groups": 3, "num_channels": 6}, {"num_groups": 2, "num_channels": 6, "affine": False},
                            {"num_groups": 1, "num_channels": 6, "eps": 0.1, "bias": False})
    out["RMSNorm"] = same([(2, 3, 4)], {"normalized_shape": 4}, {"normalized_shape": [3, 4], "eps": 0.1},
                          {"normalized_shape": 4, "elementwise_affine": False})
    out["LocalResponseNorm"] = [({"size": 2}, (2, 5, 4)), ({"size": 3, "alpha": 0.1, "beta": 0.5, "k": 2}, (2, 5, 4, 3)),
                                ({"size": 4}, (2, 5, 3, 2, 2))]
    return out


def pools():
    out = {}
    shapes = {1: (2, 3, 11), 2: (2, 3, 11, 9), 3: (2, 3, 7, 8, 9)}
    for n, shape in shapes.items():
        k = {"kernel_size": 3}
        out[f"MaxPool{n}d"] = same([shape], k, {**k, "stride": 2, "padding": 1}, {"kernel_size": [3, 2, 1][:n], "ceil_mode": True},
                                   {**k, "dilation": 2}, {**k, "return_indices": True, "stride": 1})
        out[f"AvgPool{n}d"] = same([shape], k, {**k, "stride": 2, "padding": 1, "ceil_mode": True},
                                   {**k, "padding": 1, "count_include_pad": False})
        if n > 1:
            out[f"AvgPool{n}d"] += same([shape], {**k, "divisor_override": 5}, {**k, "divisor_override": -2})
        out[f"AdaptiveAvgPool{n}d"] = same([shape], {"output_size": 1}, {"output_size": [4, 3, 2][:n]})
        out[f"AdaptiveMaxPool{n}d"] = same([shape], {"output_size": 2}, {"output_size": [4, 3, 2][:n], "return_indices": True})
        if n > 1:
            partial = [None, 3, 2][:n]
            out[f"AdaptiveAvgPool{n}d"] += same([shape], {"output_size": partial}, {"output_size": 0})
            out[f"AdaptiveMaxPool{n}d"] += same([shape], {"output_size": partial})
        out[f"LPPool{n}d"] = same([shape], {"norm_type": 2, "kernel_size": 3}, {"norm_type": 4, "kernel_size": 2, "stride": 1, "ceil_mode": True})
        out[f"LPPool{n}d"].append(({"norm_type": 1, "kernel_size": 3 if n == 1 else [2, 3, 2][:n]}, shape))
    spots = {1: torch.arange(0, 8, 2).expand(2, 3, 4), 2: torch.tensor([[0, 3], [9, 15]]).expand(2, 3, 2, 2),
             3: torch.tensor([[[0, 2], [5, 7]], [[33, 38], [51, 63]]]).expand(2, 3, 2, 2, 2)}
    for n, where in spots.items():
        larger = [size * 2 + 1 for size in where.shape[2:]]
        out[f"MaxUnpool{n}d"] = [({"kernel_size": 2}, tuple(where.shape), where), ({"kernel_size": [2] * n, "stride": 2}, tuple(where.shape), where),
                                 ({"kernel_size": 2, "stride": 2}, tuple(where.shape), where, larger)]
    for n in (2, 3):
        # The last window is always the last of the input, so of a single one nothing is drawn.
        out[f"FractionalMaxPool{n}d"] = same([shapes[n]], {"kernel_size": 3, "output_size": 1},
                                             {"kernel_size": [3, 2, 1][:n], "output_size": [1] * n, "return_indices": True})
    # Only LPPool2d of PyTorch 2.13 knows the infinite norm beside LPPool1d and 3d.
    out["LPPool2d"] += same([shapes[2]], {"norm_type": INF, "kernel_size": 3})
    return out


def activations():
    x = [(2, 4, 6)]
    plain = ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid"]
    out = {name: same(x, {}, {"inplace": True}) for name in plain}
    out |= {name: same(x, {}) for name in ["Softsign", "Tanhshrink", "Sigmoid", "LogSigmoid", "Tanh"]}
    out |= {name: same(x, {}, {"alpha": 0.3}, {"inplace": True}) for name in ["ELU", "CELU"]}
    out |= {name: same(x, {}, {"lambd": 0.1}) for name in ["Hardshrink", "Softshrink"]}
    out |= {name: [({}, (4,)), ({}, (2, 3)), ({}, (2, 3, 4)), ({"dim": -1}, (2, 3)), ({"dim": 1}, (2, 3, 4))]
            for name in ["Softmax", "Softmin", "LogSoftmax"]}
    out |= {name: same(x, {}, {"p": 0.1, "inplace": True}) for name in
            ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]}
    out |= {
        "LeakyReLU": same(x, {}, {"negative_slope": 0.2}),
        "PReLU": same(x, {}, {"num_parameters": 4, "init": 0.1}),
        "RReLU": same(x, {}, {"lower": 0.1, "upper": 0.5}),
        "GELU": same(x, {}, {"approximate": "tanh"}),
        "Hardtanh": same(x, {}, {"min_val": -0.3, "max_val": 2}),
        "Softplus": same(x, {}, {"beta": 2, "threshold": 1}),
        "Threshold": same(x, {"threshold": 0.1, "value": 20}),
        "GLU": same(x, {}, {"dim": 1}),
        "Softmax2d": [({}, (2, 3, 4, 5)), ({}, (3, 4, 5))],
    }
    return out


def embeddings():
    base = {"num_embeddings": 10, "embedding_dim": 3}
    flat, offsets = ids(10, 7), torch.tensor([0, 2, 2, 5])
    return {
        "Embedding": same([ids(10, 2, 4)], base, {**base, "padding_idx": 0}, {**base, "padding_idx": -1}, {**base, "max_norm": 1.0},
                          {**base, "max_norm": 0.5, "norm_type": 1}, {**base, "dtype": "float32", "sparse": True}),
        "EmbeddingBag":
            same([ids(10, 2, 4)], base, {**base, "mode": "sum"}, {**base, "mode": "max"}, {**base, "padding_idx": 2}, {**base, "max_norm": 1.0})
            + same([flat, offsets], base, {**base, "mode": "sum", "padding_idx": -3}, {**base, "include_last_offset": True})
            + [({**base, "mode": "sum"}, ids(10, 2, 4), None, (2, 4)), ({**base, "mode": "sum"}, flat, offsets, (7,))],
    }


def recurrent():
    out = {}
    base = {"input_size": 5, "hidden_size": 4}
    x = (3, 2, 5)
    state = lambda n, size=4: torch.rand(n, 2, size, generator=torch.Generator().manual_seed(n))
    variants = [base, {**base, "num_layers": 2}, {**base, "bias": False}, {**base, "bidirectional": True, "num_layers": 2},
                {**base, "dropout": 0.3, "num_layers": 3}, {**base, "dtype": "float32"}]
    first = {**base, "batch_first": True}
    for name in ["RNN", "GRU"]:
        out[name] = same([x], *variants) + [(first, (2, 3, 5)), (base, x, state(1)), ({**first, "bidirectional": True}, (2, 3, 5), state(2))]
    out["RNN"] += same([x], {**base, "nonlinearity": "relu"})
    out["LSTM"] = same([x], *variants, {**base, "proj_size": 2}, {**base, "proj_size": 3, "bidirectional": True, "num_layers": 2, "bias": False})
    out["LSTM"] += [(first, (2, 3, 5)), (base, x, (state(1), state(1) * 2)), ({**base, "proj_size": 2}, x, (state(1, 2), state(1)))]
    hidden = (2, 4)
    for name in ["RNNCell", "GRUCell"]:
        out[name] = same([(2, 5)], base, {**base, "bias": False}) + [(base, (2, 5), hidden)]
    out["RNNCell"] += same([(2, 5)], {**base, "nonlinearity": "relu"})
    out["LSTMCell"] = same([(2, 5)], base, {**base, "bias": False}) + [(base, (2, 5), (torch.ones(2, 4), torch.ones(2, 4) / 3))]
    return out


def attention():
    base = {"embed_dim": 8, "num_heads": 2}
    first = {**base, "batch_first": True}
    q, kv = (5, 3, 8), (6, 3, 8)
    padding = torch.arange(6) >= torch.tensor([6, 4, 2]).unsqueeze(1)
    pairs = torch.rand(5, 6, generator=torch.Generator().manual_seed(1)) > 0.8
    pairs3 = torch.randn(6, 5, 6, generator=torch.Generator().manual_seed(2))
    floats = torch.zeros(3, 6).masked_fill(padding, -INF)
    cases = same([q, kv, kv], base, {**base, "bias": False}, {**base, "add_bias_kv": True}, {**base, "add_zero_attn": True},
                 {**base, "add_bias_kv": True, "add_zero_attn": True, "dropout": 0.5}, {**base, "dtype": "float32"})
    cases += [(first, (3, 5, 8), (3, 6, 8), (3, 6, 8)), ({**base, "kdim": 4, "vdim": 3}, q, (6, 3, 4), (6, 3, 3)),
              ({**base, "kdim": 4, "bias": False}, q, (6, 3, 4), kv)]
    for needed in [True, False]:
        cases += [(base, q, kv, kv, padding, needed), (base, q, kv, kv, None, needed, pairs), (base, q, kv, kv, floats, needed, pairs3),
                  (base, q, kv, kv, None, needed, pairs3, False),
                  ({**base, "add_bias_kv": True, "add_zero_attn": True}, q, kv, kv, padding, needed, pairs.float())]
    return {"MultiheadAttention": cases}


def transformers():
    base = {"d_model": 8, "nhead": 2, "dim_feedforward": 16}
    src, tgt = (6, 3, 8), (5, 3, 8)
    variants = [base, {**base, "norm_first": True}, {**base, "activation": "gelu", "dropout": 0.3}, {**base, "bias": False},
                {**base, "layer_norm_eps": 0.1, "dtype": "float32"}]
    first = {**base, "batch_first": True}
    layer, decoder = {"type": "TransformerEncoderLayer", **base}, {"type": "TransformerDecoderLayer", **base}
    norm = {"type": "LayerNorm", "normalized_shape": 8}
    small = {"num_encoder_layers": 2, "num_decoder_layers": 1}
    return {
        "TransformerEncoderLayer": same([src], *variants) + [(first, (3, 6, 8)), (base, src, causal(6))],
        "TransformerDecoderLayer": same([tgt, src], *variants) + [(first, (3, 5, 8), (3, 6, 8)), (base, tgt, src, causal(5))],
        "TransformerEncoder": [({"encoder_layer": layer, "num_layers": 2}, src), ({"encoder_layer": layer, "num_layers": 1, "norm": norm}, src),
                               ({"encoder_layer": {**layer, "batch_first": True}, "num_layers": 2, "norm": None}, (3, 6, 8), causal(6))],
        "TransformerDecoder": [({"decoder_layer": decoder, "num_layers": 2}, tgt, src),
                               ({"decoder_layer": decoder, "num_layers": 1, "norm": norm}, tgt, src, causal(5))],
        "Transformer": same([src, tgt], *[{**one, **small} for one in variants])
                       + [({**first, **small}, (3, 6, 8), (3, 5, 8), None, causal(5))],
    }


def paddings():
    out = {}
    shapes = {1: (2, 3, 6), 2: (2, 3, 6, 7), 3: (2, 3, 5, 6, 7)}
    for n, shape in shapes.items():
        sizes = [1, 2, 0, 3, 2, 1][:2 * n]
        for mode in ["Zero", "Reflection", "Replication", "Circular"]:
            out[f"{mode}Pad{n}d"] = same([shape], {"padding": 1}, {"padding": sizes})
        out[f"ZeroPad{n}d"] += same([shape], {"padding": [-1] + sizes[1:]})
        out[f"ConstantPad{n}d"] = same([shape], {"padding": 2, "value": 3.5}, {"padding": sizes, "value": -1})
    return out


def resampling():
    upsample = []
    shapes = {1: (2, 3, 5), 2: (2, 3, 5, 4), 3: (2, 3, 3, 4, 5)}
    for n, shape in shapes.items():
        for mode in ["nearest", "nearest-exact", "area", {1: "linear", 2: "bilinear", 3: "trilinear"}[n]]:
            upsample += same([shape], {"scale_factor": 2, "mode": mode}, {"size": 7, "mode": mode},
                             {"scale_factor": 1.7, "mode": mode}, {"scale_factor": 1.7, "mode": mode, "recompute_scale_factor": True})
            if n > 1:
                upsample += same([shape], {"size": [7, 3, 4][:n], "mode": mode}, {"scale_factor": [2, 1.5, 3][:n], "mode": mode})
        upsample += same([shape], {"size": 9, "mode": {1: "linear", 2: "bicubic", 3: "trilinear"}[n], "align_corners": True})
    image = shapes[2]
    return {
        "Upsample": upsample,
        "UpsamplingNearest2d": same([image], {"scale_factor": 2}, {"size": [7, 9]}),
        "UpsamplingBilinear2d": same([image], {"scale_factor": 2}, {"size": 8}, {"scale_factor": [1.5, 2]}),
    }


def others():
    linear = {"in_features": 4, "out_features": 3}
    bilinear = {"in1_features": 4, "in2_features": 5, "out_features": 3}
    return {
        "Linear": same([(2, 4)], linear, {**linear, "bias": False}, {**linear, "dtype": "float32"}),
        "Bilinear": same([(2, 4), (2, 5)], bilinear, {**bilinear, "bias": False}),
        "Identity": same([(2, 4)], {}, {"num_features": 54, "affine": False}),
        "Flatten": same([(2, 3, 4, 5)], {}, {"start_dim": 0}, {"start_dim": 1, "end_dim": 2}),
        "Unflatten": same([(2, 12)], {"dim": 1, "unflattened_size": [3, 4]}, {"dim": -1, "unflattened_size": [2, -1]}),
        "Fold": [({"output_size": [4, 5], "kernel_size": 2}, (2, 12, 12)),
                 ({"output_size": 6, "kernel_size": 2, "stride": 2, "padding": 1, "dilation": 1}, (2, 12, 16))],
        "Unfold": same([(2, 3, 6, 7)], {"kernel_size": 2}, {"kernel_size": [2, 3], "stride": 2, "padding": 1, "dilation": [1, 2]}),
        "ChannelShuffle": same([(2, 6, 3, 3)], {"groups": 2}, {"groups": 3}),
        "PixelShuffle": same([(2, 12, 3, 4)], {"upscale_factor": 2}),
        "PixelUnshuffle": same([(2, 3, 6, 4)], {"downscale_factor": 2}),
        "CosineSimilarity": same([(3, 4, 5), (3, 4, 5)], {}, {"dim": -1, "eps": 0.1}),
        "PairwiseDistance": same([(3, 4), (3, 4)], {}, {"p": 1, "keepdim": True, "eps": 0.1}),
    }


CASES = {name: cases for family in [convolutions, norms, pools, activations, embeddings, recurrent, attention, transformers,
                                    paddings, resampling, others] for name, cases in family().items()}
