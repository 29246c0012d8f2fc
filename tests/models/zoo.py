"""Models that real users export, small: configurations of `transformers` and modules of our own.

Each entry of MODELS gives (module, inputs, dims): a module in eval mode that takes tensors and gives tensors, its
example inputs by name, and which dimensions of them vary: {"ids": {0: "batch", 1: "seq"}}.
"""

import torch
from torch import nn

MODELS = {}


def zoo_model(function):
    MODELS[function.__name__] = function
    return function


class Outputs(nn.Module):
    """Calls a model of transformers with named tensors and returns the outputs WANTED, or the first."""

    def __init__(self, inner, names, wanted=None, **fixed):
        super().__init__()
        self.inner, self.names, self.wanted, self.fixed = inner, names, wanted, fixed

    def forward(self, a, b=None, c=None):
        given = dict(zip(self.names, (a, b, c)))
        result = self.inner(**{k: v for k, v in given.items() if v is not None}, **self.fixed)
        return getattr(result, self.wanted) if self.wanted else result[0]


SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=100,
             max_position_embeddings=64)
SEQ = {0: "batch", 1: "seq"}
IMAGE = {0: "batch"}


def ids(batch=2, seq=10, top=99):
    return torch.randint(3, top, (batch, seq))


def encoder(cls, config, mask=True, **fixed):
    import transformers as hf

    inner = getattr(hf, cls)(config).eval()
    if mask:
        return Outputs(inner, ["input_ids", "attention_mask"], "last_hidden_state", **fixed), {"a": ids(), "b": torch.ones(2, 10, dtype=torch.long)}, {"a": SEQ, "b": SEQ}
    return Outputs(inner, ["input_ids"], "last_hidden_state", **fixed), {"a": ids()}, {"a": SEQ}


def decoder(cls, config, wanted="logits"):
    import transformers as hf

    inner = getattr(hf, cls)(config).eval()
    return Outputs(inner, ["input_ids"], wanted, use_cache=False), {"a": ids()}, {"a": SEQ}


def image(cls, config, wanted="last_hidden_state", size=32, dims=None):
    import transformers as hf

    inner = getattr(hf, cls)(config).eval()
    return Outputs(inner, ["pixel_values"], wanted), {"a": torch.randn(2, 3, size, size)}, {"a": dims or IMAGE}


def hf_config(cls, **options):
    import transformers as hf

    return getattr(hf, cls)(**options)


def _encoder(name, prefix, **changes):
    def build():
        return encoder(f"{prefix}Model", hf_config(f"{prefix}Config", **{**SMALL, **changes}))

    MODELS[name] = build


_encoder("bert", "Bert")
_encoder("roberta", "Roberta", pad_token_id=1)
_encoder("electra", "Electra", embedding_size=16)
_encoder("albert", "Albert", embedding_size=16)
_encoder("camembert", "Camembert", pad_token_id=1)
_encoder("xlm_roberta", "XLMRoberta", pad_token_id=1)
_encoder("mpnet", "MPNet", pad_token_id=1)
_encoder("deberta_v2", "DebertaV2", relative_attention=True, pos_att_type=["p2c", "c2p"])
_encoder("megatron_bert", "MegatronBert")
_encoder("roformer", "RoFormer", embedding_size=32)
_encoder("ernie", "Ernie")
_encoder("mobilebert", "MobileBert", embedding_size=16, intra_bottleneck_size=16, true_hidden_size=16)
_encoder("squeezebert", "SqueezeBert", embedding_size=32, q_groups=2, k_groups=2, v_groups=2, post_attention_groups=1, intermediate_groups=2, output_groups=2)


@zoo_model
def distilbert():
    return encoder("DistilBertModel", hf_config("DistilBertConfig", dim=32, n_layers=2, n_heads=4, hidden_dim=64, vocab_size=100))


@zoo_model
def modernbert():
    return encoder("ModernBertModel", hf_config("ModernBertConfig", **SMALL, global_attn_every_n_layers=2, pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2))


@zoo_model
def xlnet():
    return encoder("XLNetModel", hf_config("XLNetConfig", d_model=32, n_layer=2, n_head=4, d_inner=64, vocab_size=100), mask=False)


@zoo_model
def funnel():
    return encoder("FunnelBaseModel", hf_config("FunnelConfig", d_model=32, block_sizes=[1, 1], n_head=4, d_head=8, d_inner=64, vocab_size=100), mask=False)


@zoo_model
def fnet():
    return encoder("FNetModel", hf_config("FNetConfig", **{k: v for k, v in SMALL.items() if k != "num_attention_heads"}), mask=False)


@zoo_model
def bert_classifier():
    import transformers as hf

    inner = hf.BertForSequenceClassification(hf.BertConfig(**SMALL)).eval()
    return Outputs(inner, ["input_ids", "attention_mask", "token_type_ids"], "logits"), {"a": ids(), "b": torch.ones(2, 10, dtype=torch.long), "c": torch.zeros(2, 10, dtype=torch.long)}, {"a": SEQ, "b": SEQ, "c": SEQ}


@zoo_model
def gpt2():
    return decoder("GPT2LMHeadModel", hf_config("GPT2Config", n_embd=32, n_layer=2, n_head=4, vocab_size=100, n_positions=64))


def _decoder(name, prefix, suffix="ForCausalLM", **changes):
    def build():
        return decoder(f"{prefix}{suffix}", hf_config(f"{prefix}Config", **{**SMALL, **changes}))

    MODELS[name] = build


_decoder("gpt_neox", "GPTNeoX")
_decoder("opt", "OPT", ffn_dim=64, word_embed_proj_dim=32)
_decoder("llama", "Llama", num_key_value_heads=2)
_decoder("mistral", "Mistral", num_key_value_heads=2, sliding_window=4)
_decoder("qwen2", "Qwen2", num_key_value_heads=2)
_decoder("qwen3", "Qwen3", num_key_value_heads=2, head_dim=8)
_decoder("gemma", "Gemma", num_key_value_heads=2, head_dim=8)
_decoder("gemma2", "Gemma2", num_key_value_heads=2, head_dim=8, sliding_window=4)
_decoder("phi", "Phi")
_decoder("phi3", "Phi3", num_key_value_heads=2, pad_token_id=0)
_decoder("stablelm", "StableLm", num_key_value_heads=2)
_decoder("starcoder2", "Starcoder2", num_key_value_heads=2)
_decoder("olmo", "Olmo", num_key_value_heads=2)
_decoder("cohere", "Cohere", num_key_value_heads=2)
_decoder("granite", "Granite", num_key_value_heads=2)
_decoder("falcon", "Falcon", new_decoder_architecture=False, multi_query=True, alibi=False)
_decoder("persimmon", "Persimmon")


@zoo_model
def bloom():
    return decoder("BloomForCausalLM", hf_config("BloomConfig", hidden_size=32, n_layer=2, n_head=4, vocab_size=100))


@zoo_model
def gpt_neo():
    return decoder("GPTNeoForCausalLM", hf_config("GPTNeoConfig", hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=4, vocab_size=100, max_position_embeddings=64))


@zoo_model
def gptj():
    return decoder("GPTJForCausalLM", hf_config("GPTJConfig", n_embd=32, n_layer=2, n_head=4, rotary_dim=4, vocab_size=100, n_positions=64))


@zoo_model
def mpt():
    return decoder("MptForCausalLM", hf_config("MptConfig", d_model=32, n_heads=4, n_layers=2, vocab_size=100, max_seq_len=64))


@zoo_model
def mixtral():
    return decoder("MixtralForCausalLM", hf_config("MixtralConfig", **SMALL, num_key_value_heads=2, num_local_experts=4))


@zoo_model
def mamba():
    return decoder("MambaForCausalLM", hf_config("MambaConfig", hidden_size=32, num_hidden_layers=2, vocab_size=100, state_size=4))


def seq2seq(cls, config):
    import transformers as hf

    inner = getattr(hf, cls)(config).eval()
    return (Outputs(inner, ["input_ids", "decoder_input_ids"], "last_hidden_state", use_cache=False),
            {"a": ids(), "b": ids(seq=7)}, {"a": SEQ, "b": {0: "batch", 1: "target"}})


@zoo_model
def t5():
    return seq2seq("T5Model", hf_config("T5Config", d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100))


@zoo_model
def t5_encoder():
    return encoder("T5EncoderModel", hf_config("T5Config", d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100))


@zoo_model
def bart():
    return seq2seq("BartModel", hf_config("BartConfig", d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=100, max_position_embeddings=64))


@zoo_model
def marian():
    return seq2seq("MarianModel", hf_config("MarianConfig", d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=100, max_position_embeddings=64, pad_token_id=0))


@zoo_model
def whisper():
    import transformers as hf

    config = hf.WhisperConfig(d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=100, num_mel_bins=16, max_source_positions=20, max_target_positions=32, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
    inner = hf.WhisperModel(config).eval()
    return (Outputs(inner, ["input_features", "decoder_input_ids"], "last_hidden_state", use_cache=False),
            {"a": torch.randn(2, 16, 40), "b": ids(seq=7)}, {"a": {0: "batch"}, "b": {0: "batch", 1: "target"}})


@zoo_model
def wav2vec2():
    import transformers as hf

    config = hf.Wav2Vec2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, vocab_size=32)
    return Outputs(hf.Wav2Vec2Model(config).eval(), ["input_values"], "last_hidden_state"), {"a": torch.randn(2, 800)}, {"a": {0: "batch"}}


VISION = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8)


@zoo_model
def vit():
    return image("ViTModel", hf_config("ViTConfig", **VISION))


@zoo_model
def deit():
    return image("DeiTModel", hf_config("DeiTConfig", **VISION))


@zoo_model
def beit():
    return image("BeitModel", hf_config("BeitConfig", **VISION, use_relative_position_bias=True, vocab_size=100))


@zoo_model
def dinov2():
    return image("Dinov2Model", hf_config("Dinov2Config", **VISION))


@zoo_model
def siglip_vision():
    return image("SiglipVisionModel", hf_config("SiglipVisionConfig", **VISION))


@zoo_model
def clip_vision():
    return image("CLIPVisionModel", hf_config("CLIPVisionConfig", **VISION, projection_dim=16))


@zoo_model
def clip_text():
    return encoder("CLIPTextModel", hf_config("CLIPTextConfig", **SMALL, projection_dim=16, eos_token_id=2))


@zoo_model
def yolos():
    return image("YolosForObjectDetection", hf_config("YolosConfig", **{**VISION, "image_size": [32, 32]}, num_detection_tokens=4, num_labels=3), "logits")


@zoo_model
def swin():
    return image("SwinModel", hf_config("SwinConfig", image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4))


@zoo_model
def segformer():
    return image("SegformerForSemanticSegmentation", hf_config("SegformerConfig", hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=16, num_labels=3), "logits", size=64)


@zoo_model
def mobilevit():
    return image("MobileViTModel", hf_config("MobileViTConfig", image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 48], num_attention_heads=2), size=64)


@zoo_model
def resnet():
    return image("ResNetModel", hf_config("ResNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"), dims={0: "batch", 2: "height", 3: "width"}, size=64)


@zoo_model
def regnet():
    return image("RegNetModel", hf_config("RegNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=4), size=64)


@zoo_model
def convnext():
    return image("ConvNextModel", hf_config("ConvNextConfig", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2), size=64)


@zoo_model
def efficientnet():
    return image("EfficientNetModel", hf_config("EfficientNetConfig", image_size=64, width_coefficient=0.25, depth_coefficient=0.25, hidden_dim=320), size=64)


@zoo_model
def mobilenet_v2():
    return image("MobileNetV2Model", hf_config("MobileNetV2Config", depth_multiplier=0.35, image_size=64), size=64)


@zoo_model
def poolformer():
    return image("PoolFormerModel", hf_config("PoolFormerConfig", hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1]), size=64)


@zoo_model
def levit():
    return image("LevitModel", hf_config("LevitConfig", image_size=64, hidden_sizes=[16, 32, 48], num_attention_heads=[2, 2, 4], depths=[1, 1, 1], key_dim=[8, 8, 8]), size=64)


@zoo_model
def clip():
    import transformers as hf

    config = hf.CLIPConfig(text_config={**SMALL, "projection_dim": 16, "eos_token_id": 2}, vision_config={**VISION, "projection_dim": 16}, projection_dim=16)
    inner = hf.CLIPModel(config).eval()
    return Outputs(inner, ["input_ids", "pixel_values"], "logits_per_image"), {"a": ids(), "b": torch.randn(3, 3, 32, 32)}, {"a": {0: "batch"}, "b": {0: "images"}}


# Our own.

class LstmTagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.head = nn.Embedding(50, 16), nn.LSTM(16, 12, num_layers=2, bidirectional=True, batch_first=True), nn.Linear(24, 5)

    def forward(self, a):
        return self.head(self.lstm(self.embedding(a))[0])


@zoo_model
def lstm_tagger():
    return LstmTagger().eval(), {"a": torch.randint(0, 50, (2, 9))}, {"a": SEQ}


class GruEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 12, batch_first=True)

    def forward(self, a):
        return self.gru(a)[1]


@zoo_model
def gru_encoder():
    return GruEncoder().eval(), {"a": torch.randn(2, 7, 8)}, {"a": SEQ}


@zoo_model
def transformer():
    class Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Transformer(32, 4, 2, 2, 64, batch_first=True)

        def forward(self, a, b):
            return self.inner(a, b)

    return Seq().eval(), {"a": torch.randn(2, 6, 32), "b": torch.randn(2, 5, 32)}, {"a": {0: "batch", 1: "source"}, "b": {0: "batch", 1: "target"}}


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU())
        self.mid = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(16, 8, 3, padding=1))
        self.out = nn.Conv2d(16, 1, 1)

    def forward(self, a):
        x = self.down(a)
        return self.out(torch.cat([x, self.up(torch.relu(self.mid(x)))], 1))


@zoo_model
def unet():
    return UNet().eval(), {"a": torch.randn(2, 3, 32, 32)}, {"a": {0: "batch"}}


class Gnn(nn.Module):
    """Message passing over an edge list."""

    def __init__(self):
        super().__init__()
        self.message, self.update = nn.Linear(16, 8), nn.GRUCell(8, 8)

    def forward(self, a, b):
        source, target = b[0], b[1]
        messages = self.message(torch.cat([a[source], a[target]], -1)).relu()
        pooled = torch.zeros_like(a).index_add(0, target, messages)
        return self.update(pooled, a)


@zoo_model
def gnn():
    return Gnn().eval(), {"a": torch.randn(6, 8), "b": torch.randint(0, 6, (2, 15))}, {"b": {1: "edges"}}


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(50, 8, mode="mean"), nn.Linear(8, 3)

    def forward(self, a):
        return self.head(self.bag(a))


@zoo_model
def embedding_bag():
    return Bag().eval(), {"a": torch.randint(0, 50, (4, 6))}, {"a": {0: "batch"}}


class Einsum(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 8, 6))

    def forward(self, a):
        q = torch.einsum("bnd,hde->bhne", a, self.w)
        return torch.einsum("bhne,bhme->bhnm", q, q).softmax(-1).mean(1)


@zoo_model
def einsum_attention():
    return Einsum().eval(), {"a": torch.randn(2, 5, 8)}, {"a": SEQ}


class SuperResolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.shuffle = nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2)

    def forward(self, a):
        return self.shuffle(torch.nn.functional.pad(self.body(a), (1, 1, 1, 1), mode="reflect")).clamp(0, 1)


@zoo_model
def super_resolution():
    return SuperResolution().eval(), {"a": torch.randn(2, 3, 12, 12)}, {"a": {0: "batch", 2: "height", 3: "width"}}


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(20, 8), nn.Linear(4, 20)

    def forward(self, a):
        mean, log_variance = self.encode(a).chunk(2, -1)
        return self.decode(mean + torch.exp(0.5 * log_variance)).sigmoid()


@zoo_model
def vae_mean():
    return Vae().eval(), {"a": torch.randn(3, 20)}, {"a": {0: "batch"}}


class Tcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3, dilation=2 ** i)) for i in range(3)])

    def forward(self, a):
        for i, layer in enumerate(self.layers):
            a = a + torch.relu(layer(nn.functional.pad(a, (2 * 2 ** i, 0))))
        return a


@zoo_model
def tcn():
    return Tcn().eval(), {"a": torch.randn(2, 4, 20)}, {"a": {0: "batch", 2: "time"}}
