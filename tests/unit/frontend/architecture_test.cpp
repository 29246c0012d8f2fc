#include "mlc/frontend/architecture.h"

#include "frontend/architecture_testing.h"
#include "mlc/frontend/module_types.h"

#include <cstdlib>

using mlc::ErrorKind;
using namespace architecture_testing;
using namespace mlc::arch;

TEST_CASE("every signature of the table is well-formed") {
  for (const ModuleType& row : all_module_types()) {
    INFO(row.name);
    CHECK((row.build != nullptr) == row.expression.empty());
    if (row.signature == kAnyArguments) continue;
    for (const SignatureArgument& one : parse_signature(row.signature)) {
      INFO(one.name);
      CHECK_FALSE(one.name.empty());
      if (!one.required) CHECK(fits_type(one.default_value, one.type));
    }
  }
}

TEST_CASE("module types have different names") {
  const auto names = module_type_names();
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("an architecture says its format") {
  auto parse_raw = [](const std::string& text) {
    auto out = Architecture::parse(text, "a.yaml");
    REQUIRE_FALSE(out.ok());
    return out.error().text().substr(0, out.error().text().find('\n'));
  };
  CHECK(parse_raw("- a\n") == "1:1: an architecture must be a mapping, found a list");
  CHECK(parse_raw("modules: {}\n") == "1:1: this YAML does not say its format");
  CHECK(parse_raw("mlc: metadata/1\n") == "1:6: expected architecture/1, found \"metadata/1\"");
  auto newer = Architecture::parse("mlc: architecture/2\n", "a.yaml");
  REQUIRE_FALSE(newer.ok());
  CHECK(newer.error().kind() == ErrorKind::unsupported);
  CHECK(newer.error().file() == "a.yaml");
  CHECK(looks_like_architecture("# a comment\nname: x\nmlc: architecture/1\n"));
  CHECK(looks_like_architecture("mlc: \"architecture/1\"\n"));
  CHECK_FALSE(looks_like_architecture("mlc: metadata/1\n"));
  CHECK_FALSE(looks_like_architecture("x: {mlc: architecture/1}\n"));
}

TEST_CASE("inputs and outputs are kept as text with their place") {
  auto architecture = parse("name: n\ninputs: [\"a:f32[1]\", b]\noutputs: y\n");
  REQUIRE(architecture.ok());
  CHECK(architecture->name() == "n");
  REQUIRE(architecture->inputs().size() == 2);
  CHECK(architecture->inputs()[0].text == "a:f32[1]");
  CHECK(architecture->inputs()[0].position.line == 3);
  CHECK(architecture->inputs()[0].position.column == 11);
  CHECK(architecture->inputs()[1].position.column == 22);
  REQUIRE(architecture->outputs().size() == 1);
  const auto error = architecture->error_at({3, 13}, "no such dtype");
  CHECK(error.text() == "3:13: no such dtype\n  inputs: [\"a:f32[1]\", b]\n              ^");
}

TEST_CASE("keys come in the order of PyTorch: parameters, buffers, children") {
  CHECK(keys("modules: {bn: {type: BatchNorm2d, num_features: 3}, fc: {type: Linear, "
             "in_features: 3, out_features: 2}}\n"
             "buffers: {b: {shape: [2]}, hidden: {shape: [9], persistent: false}}\n"
             "parameters: {p: {shape: []}}\n") ==
        "p []\nb [2]\nbn.weight [3]\nbn.bias [3]\nbn.running_mean [3]\nbn.running_var [3]\n"
        "bn.num_batches_tracked []\nfc.weight [2, 3]\nfc.bias [2]\n");
}

TEST_CASE("repeat makes a ModuleList, in a list it makes several items") {
  CHECK(keys("modules: {a: {repeat: 2, type: PReLU, num_parameters: $index + 1}}\n") ==
        "a.0.weight [1]\na.1.weight [2]\n");
  CHECK(keys("modules: {a: [{type: PReLU}, {repeat: 2, type: PReLU, num_parameters: 3}]}\n") ==
        "a.0.weight [1]\na.1.weight [3]\na.2.weight [3]\n");
  CHECK(keys("modules: {a: {type: Sequential, modules: {x: {type: PReLU}}}}\n") ==
        "a.x.weight [1]\n");
  CHECK(keys("modules: {a: {type: ModuleDict, modules: {k: {type: PReLU}}}}\n") ==
        "a.k.weight [1]\n");
  CHECK(keys("modules: {a: {repeat: 0, type: PReLU}}\n").empty());
}

TEST_CASE("classes take arguments and may leave modules out") {
  const std::string classes =
      "classes:\n"
      "  Block:\n"
      "    parameters: {width: int, wide: {type: bool, default: false}, own: {shape: [$width]}}\n"
      "    modules:\n"
      "      act: {when: $wide, type: PReLU, num_parameters: $width * 2}\n"
      "      inner: {modules: {fc: {type: Linear, in_features: $width, out_features: 1}}}\n";
  CHECK(keys("modules: {b: {type: Block, width: 3}}\n" + classes) ==
        "b.own [3]\nb.inner.fc.weight [1, 3]\nb.inner.fc.bias [1]\n");
  CHECK(keys("modules: {b: {type: Block, width: 3, wide: true}}\n" + classes)
            .find("b.act.weight [6]\n") != std::string::npos);
  CHECK(keys("parameters: {w: {type: int, default: 5}}\nmodules: {b: {type: Block, width: $w}}\n" +
             classes)
            .starts_with("b.own [5]\n"));
}

TEST_CASE("tied tensors appear under both names") {
  const std::string two =
      "modules: {embed: {type: Embedding, num_embeddings: 5, embedding_dim: 3}, decoder: {type: "
      "Linear, in_features: 3, out_features: 5}}\n";
  auto architecture = parse(two + "tie: {decoder.weight: embed.weight}\n");
  REQUIRE(architecture.ok());
  CHECK(architecture->root().children[1].parameters[0].tied_to == "embed.weight");
  CHECK(state_dict_of(*architecture).size() == 3);
  CHECK(complaint(two + "tie: {decoder.wieght: embed.weight}\n") ==
        "3:7: no tensor is named \"decoder.wieght\" | did you mean \"decoder.weight\"?");
  CHECK(message(two + "tie: {decoder.weight: embed.bias}\n") ==
        "3:23: no tensor is named \"embed.bias\"");
  CHECK(message(two + "tie: {decoder.bias: embed.weight}\n") ==
        "3:21: \"embed.weight\" of float32[5, 3] cannot be \"decoder.bias\" of float32[5]");
  CHECK(message(two + "tie: {decoder.weight: embed.weight, embed.weight: decoder.weight}\n") ==
        "3:37: \"embed.weight\" is tied in a circle or twice");
}

TEST_CASE("raw tensors have a shape, a dtype and an init") {
  auto architecture = parse(
      "buffers:\n"
      "  ids: {shape: [1, 4], dtype: int64, init: arange, persistent: false}\n"
      "  mask: {shape: [2, 2], dtype: bool, init: tril}\n"
      "parameters:\n"
      "  a: {shape: [2], init: [1, 2.5]}\n"
      "  b: {shape: [2], init: {normal: 0.02}}\n");
  REQUIRE(architecture.ok());
  const ScriptModule& root = architecture->root();
  CHECK(root.buffers[0].init.kind == Init::Kind::arange);
  CHECK_FALSE(root.buffers[0].persistent);
  CHECK(root.buffers[1].dtype == mlc::DType::boolean);
  CHECK(root.parameters[0].init.values == std::vector<double>{1, 2.5});
  CHECK(root.parameters[1].init.a == 0.02);
  CHECK(message("buffers: {a: {dtype: int64}}\n") == "2:14: the tensor \"a\" needs a shape");
  CHECK(message("buffers: {a: {shape: [-1]}}\n") == "2:22: a shape has no negative sizes");
  CHECK(complaint("buffers: {a: {shape: [1], dtype: flaot32}}\n") ==
        "2:34: unknown dtype \"flaot32\" | did you mean \"float32\"?");
  CHECK(message("buffers: {a: {shape: [3], init: [1, 2]}}\n") ==
        "2:33: init gives 2 values for 3 elements");
  CHECK(message("buffers: {a: {shape: [3], init: often}}\n") == "2:33: unknown init \"often\"");
  CHECK(message("parameters: {a: 3}\n") == "2:17: unknown type \"3\" of an argument");
  CHECK(message("buffers: {a: {shape: [1], perisstent: true}}\n") ==
        "2:27: unknown key \"perisstent\"");
}

TEST_CASE("mistakes of names and types are pointed at") {
  CHECK(complaint("modules: {a: {type: Conv2D, in_channels: 1}}\n") ==
        "2:21: unknown module type \"Conv2D\" | did you mean \"Conv2d\"?");
  CHECK(complaint("modules: {a: {type: nn.Linaer}}\n") ==
        "2:21: unknown module type \"nn.Linaer\" | did you mean \"Linear\"?");
  CHECK(complaint("modules: {a: {type: Blok}}\nclasses: {Block: {}}\n") ==
        "2:21: unknown module type \"Blok\" | did you mean \"Block\"?");
  CHECK(complaint("modules: {a: {type: Linear, in_feature: 1, out_features: 2}}\n") ==
        "2:29: Linear has no argument \"in_feature\" | did you mean \"in_features\"?");
  CHECK(
      complaint("modules: {a: {type: Linear, in_features: 1, out_features: 2, device: cuda}}\n") ==
      "2:62: Linear has no argument \"device\" | leave it out: the device is chosen when the "
      "model runs");
  CHECK(complaint("modules: {a: {type: Linear, in_features: 1}}\n") ==
        "2:14: Linear needs the argument \"out_features\" | out_features is an integer from 0 on");
  CHECK(message("modules: {a: {type: Linear, in_features: many, out_features: 1}}\n") ==
        "2:42: Linear: in_features must be an integer from 0 on, found \"many\"");
  CHECK(message("modules: {a: {type: Linear, in_features: 1.5, out_features: 1}}\n") ==
        "2:42: Linear: in_features must be an integer from 0 on, found 1.5");
  CHECK(message("modules: {a: {type: MaxPool2d, kernel_size: [1, 2, 3]}}\n") ==
        "2:45: MaxPool2d: kernel_size must be an integer or a list of 2 integers from 0 on, found "
        "[1, 2, 3]");
  CHECK(message("modules: {a: {type: Linear, in_features: 1, out_features: 1, dtype: {x: 1}}}\n") ==
        "2:69: Linear: dtype must be a floating type such as float16, or null, found a mapping");
  CHECK(message("modules: {a: {type: TransformerEncoder, encoder_layer: 3, num_layers: 1}}\n") ==
        "2:56: TransformerEncoder: encoder_layer must be a module, found 3");
  CHECK(message(
            "modules: {a: {type: TransformerEncoder, encoder_layer: {type: Identity}, num_layers: "
            "1, norm: 3}}\n") ==
        "2:95: TransformerEncoder: norm must be a module, or null, found 3");
  CHECK(complaint("modules: {a: {type: GELU, approximate: tahn}}\n") ==
        "2:40: GELU: approximate must be one of none and tanh, found \"tahn\" | did you mean "
        "\"tanh\"?");
  CHECK(message("modules: {a: 3}\n") ==
        "2:14: a module must be a mapping or a list of modules, found an integer");
  CHECK(message("modules: {a: {kernel_size: 3}}\n") == "2:14: this module has no type");
  CHECK(message("modules: {a-b: {type: ReLU}}\n") ==
        "2:11: \"a-b\" cannot be the name of a part of a module");
  CHECK(complaint("modules: {class: {type: ReLU}}\n") ==
        "2:11: \"class\" is a word of Python's own | no text can say self.class, and TorchScript "
        "cannot read back what it writes of it");
  CHECK(message("parameters: {lambda: {shape: [1]}}\n") ==
        "2:14: \"lambda\" is a word of Python's own");
  CHECK(message("modules: {training: {type: ReLU}}\n") ==
        "2:11: every module has \"training\" already");
  CHECK(message("parameters: {a: {shape: [1]}}\nmodules: {a: {type: ReLU}}\n") ==
        "3:11: this module has another part named \"a\"");
  CHECK(message("classes: {Linear: {}}\n") == "2:11: Linear is a module of torch.nn");
  CHECK(message("classes: {My Block: {}}\n") == "2:11: \"My Block\" cannot be the name of a class");
  CHECK(complaint("moduls: {}\n") == "2:1: unknown key \"moduls\" | did you mean \"modules\"?");
}

TEST_CASE("arguments that contradict each other are refused") {
  CHECK(message("modules: {a: {type: Conv2d, in_channels: 3, out_channels: 4, kernel_size: 1, "
                "groups: 2}}\n") == "2:42: Conv2d: in_channels 3 is not divisible by groups 2");
  CHECK(message("modules: {a: {type: Conv2d, in_channels: 3, out_channels: 4, kernel_size: 1, "
                "stride: 2, padding: same}}\n") == "2:98: Conv2d: padding: same needs stride 1");
  CHECK(message("modules: {a: {type: MultiheadAttention, embed_dim: 5, num_heads: 2}}\n") ==
        "2:66: MultiheadAttention: embed_dim 5 is not divisible by num_heads 2");
  CHECK(message("modules: {a: {type: Upsample}}\n") ==
        "2:14: Upsample: give size or scale_factor, not none");
  CHECK(message("modules: {a: {type: Upsample, size: [], mode: bilinear}}\n") ==
        "2:37: Upsample: mode bilinear does not go with 0 dimensions");
  CHECK(message("modules: {a: {type: LSTM, input_size: 1, hidden_size: 2, proj_size: 2}}\n") ==
        "2:69: LSTM: proj_size must be smaller than hidden_size");
}

TEST_CASE("sizes that do not fit are refused, not wrapped") {
  const std::string big = "9223372036854775807";
  CHECK(message("modules: {a: {type: Linear, in_features: " + big + ", out_features: 2}}\n") ==
        "2:14: Linear: weight would have more than 2^63 bytes");
  CHECK(message("modules: {a: {type: LSTM, input_size: 1, hidden_size: " + big + "}}\n") ==
        "2:14: LSTM: weight_ih_l0 would have more than 2^63 bytes");
  CHECK(message("modules: {a: {type: Conv3d, in_channels: 1, out_channels: 1, kernel_size: " + big +
                "}}\n") == "2:14: Conv3d: weight would have more than 2^63 bytes");
  CHECK(message("modules: {a: {type: MultiheadAttention, embed_dim: " + big + ", num_heads: 1}}\n")
            .find("would have more than 2^63 bytes") != std::string::npos);
  CHECK(message("parameters: {a: {shape: [0, " + big + ", 3]}}\n") ==
        "2:25: a tensor of this shape has more than 2^63 bytes");
  CHECK(message("modules: {a: {type: Linear, in_features: 9223372036854775808, out_features: 2}}\n")
            .starts_with("2:42: "));
  CHECK(message("modules: {a: {repeat: 1000000000000, type: ReLU}}\n") ==
        "2:14: the model has more than 100,000 modules");
  CHECK(message(
            "modules: {a: {type: LSTM, input_size: 1, hidden_size: 1, num_layers: 100000000}}\n") ==
        "2:70: LSTM: more than 10,000 layers");
  CHECK(message("modules: {a: {type: A}}\nclasses:\n  A: {modules: {x: {repeat: 1000, type: B}}}\n"
                "  B: {modules: {x: {repeat: 1000, type: ReLU}}}\n") ==
        "5:20: the model has more than 100,000 modules");
}

TEST_CASE("a few lines cannot describe more than memory holds") {
  const std::string layers =
      "modules: {a: {repeat: 99000, type: LSTM, input_size: 1, hidden_size: "
      "1, num_layers: 10000}}\n";
  CHECK(message(layers) == "2:14: the modules up to here take more than 268.4 MB to describe");
  const std::string text =
      "modules: {a: {repeat: 99000, type: A}}\nclasses:\n  A:\n    forward: |\n"
      "      def forward(self, x):\n        return x  # " +
      std::string(1 << 20, '.') + "\n";
  CHECK(message(text) == "5:5: the modules up to here take more than 268.4 MB to describe");
  std::string list =
      "modules: {a: {repeat: 99000, type: A}}\nclasses:\n  A: {parameters: {p: {shape: "
      "[100000], init: [0";
  for (int i = 1; i < 100'000; ++i) list += ",0";
  // Takes 80 s with sanitizers, on the way that the two before went.
  if (std::getenv("MLC_SANITIZED") == nullptr) {
    CHECK(message(list + "]}}}\n") ==
          "4:6: the modules up to here take more than 268.4 MB to describe");
  }
  CHECK(message("buffers: {a: {shape: [" + list.substr(list.size() - 140) + "]}}\n") ==
        "2:22: a tensor has at most 64 dimensions");
}

TEST_CASE("an argument and a module may share a name") {
  CHECK(
      keys("modules: {a: {type: A, norm: PReLU}}\nclasses: {A: {parameters: {norm: str}, modules: "
           "{norm: {type: $norm}}}}\n") == "a.norm.weight [1]\n");
}

TEST_CASE("classes that contain themselves are refused") {
  CHECK(message("modules: {a: {type: A}}\nclasses: {A: {modules: {a: {type: A}}}}\n") ==
        "3:28: the class A contains itself: A > A");
  CHECK(message("modules: {a: {type: A}}\nclasses:\n  A: {modules: {b: {type: B}}}\n"
                "  B: {modules: {s: {type: Sequential, modules: [{type: A}]}}}\n") ==
        "5:49: the class A contains itself: A > B > A");
  std::string chain = "modules: {a: {type: C0}}\nclasses:\n";
  for (int i = 0; i < 300; ++i) {
    chain +=
        "  C" + std::to_string(i) + ": {modules: {x: {type: C" + std::to_string(i + 1) + "}}}\n";
  }
  CHECK(message(chain + "  C300: {}\n").find("nested more than 200 levels") != std::string::npos);
}
