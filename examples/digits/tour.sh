#!/usr/bin/env bash
# The tour that scripts/quickstart shows and scripts/test runs: a training checkpoint becomes a file
# to ship. Stops at the first step that fails.
#
#   examples/digits/tour.sh OUTPUT_DIR     with mlc in PATH; OUTPUT_DIR is emptied first
set -euo pipefail
out=${1:?usage: examples/digits/tour.sh OUTPUT_DIR}
cd "$(dirname "${BASH_SOURCE[0]}")"
rm -rf "$out" && mkdir -p "$out"
cp digits.pt digits.yaml evaluate.yaml test.safetensors calibration.safetensors ../architectures/digits_cnn.yaml "$out/"
cd "$out"

step() {
  printf '\n# %s\n$ %s\n' "$1" "${*:2}"
  "${@:2}"
}

step "What is in the file?" mlc load digits.pt
step "Take away the prefix that nn.DataParallel left on every key" \
  mlc strip-module-prefix digits.pt -o stripped.pt
step "Put the metadata into the file itself" \
  mlc save stripped.pt --meta digits.yaml -o shipped.pt
step "Do its versions meet what its metadata requires?" mlc validate-version shipped.pt
step "The same weights as safetensors" \
  mlc save shipped.pt --weights-only -o digits.safetensors
step "Nothing was lost on the way: compare every value" \
  mlc diff shipped.pt digits.safetensors
step "How many of the 360 images that it was not trained on does it read?" \
  mlc run shipped.pt --arch evaluate.yaml --threads 1 \
  --input image=@test.safetensors --input label=@test.safetensors
step "Make TorchScript of it, which is compared with it before it appears" \
  mlc trace shipped.pt --arch digits_cnn.yaml -o script.pt
step "Do both compute the same, as it reads them from disk?" \
  mlc verify shipped.pt script.pt --arch digits_cnn.yaml
step "Make an ONNX model of it that counts what it reads right, which is compared too" \
  mlc export-onnx shipped.pt --arch evaluate.yaml -o evaluate.onnx
step "How many of the images does it read under ONNX Runtime?" \
  mlc run evaluate.onnx --threads 1 --input image=@test.safetensors --input label=@test.safetensors

# Reports with times differ from run to run: they go into files.
quantize=(mlc quantize evaluate.onnx -o int8.onnx --onnx static --reduce-range --calib calibration.safetensors)
printf '\n# %s\n$ %s\n' "Make bytes of its weights (of 7 bits, which suit every CPU) and of what flows between them; 512 images give the ranges" \
  "${quantize[*]} > quantize.txt"
"${quantize[@]}" >quantize.txt 2>&1
step "How many of the images does that read?" \
  mlc run int8.onnx --threads 1 --input image=@test.safetensors --input label=@test.safetensors

prune=(mlc prune evaluate.onnx -o half.onnx --method channels --amount 0.5 --calib calibration.safetensors)
printf '\n# %s\n$ %s\n' "Take half of its channels away; 512 of the images it was trained on tell what to do without them" \
  "${prune[*]} > prune.txt"
"${prune[@]}" >prune.txt 2>&1
step "How many of the images does that read?" \
  mlc run half.onnx --threads 1 --input image=@test.safetensors --input label=@test.safetensors

printf '\n# %s\n$ %s\n' "How fast are both on this machine? bench.html has plots" \
  "mlc bench shipped.pt script.pt --arch digits_cnn.yaml --threads 1 --batch 1 --batch 32 --report bench.html > bench.txt"
mlc bench shipped.pt script.pt --arch digits_cnn.yaml --threads 1 --batch 1 --batch 32 --report bench.html >bench.txt 2>&1
