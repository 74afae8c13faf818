#!/usr/bin/env bash
# Everything that wants a GPU, in parts of at most nine minutes each; time on a GPU is rare, so nothing is
# improvised there. A part writes OUT/<part>.log and its tables beside it, line by line, so that a part
# cut short leaves what it had. OUT/summary.txt says how each ended, OUT/machine.txt where. A part that
# fails does not stop the next. Ends with 0 when all passed, 1 when one did not, 2 for a wrong call, and 6
# where there is no GPU (build, which needs none, is done first).
# Usage: tools/gpu_check.sh [part…] OUT     parts, in this order when none is named:
#   build      the cuda preset with tests (AB_JOBS compile jobs, default: all cores)
#   test       the tests on the GPU, then those of the host
#   memcheck racecheck synccheck   compute-sanitizer over the kernel tests
#   kernels    bench_kernels, the handwritten kernels: kernels.txt, kernels.json
#   seams      bench_kernels, products, convolutions, decompositions: seams.txt, seams.json
#   torch      PyTorch for the next part, in build/torch, where python3 has none
#   step       bench_step, ResNet-50 and ViT-B/16 in fp32 and bf16, PyTorch beside it: step.txt, *.jsonl
#   train      50 steps of AB-training on host and GPU: losses side by side, ledgers compared
# AB_BIN names another folder of programs than build/cuda/bin.
set -uo pipefail
cd "$(dirname "$0")/.."
known="build test memcheck racecheck synccheck kernels seams torch step train"
[ $# -ge 1 ] || { sed -n '2,18p' "$0"; exit 2; }
out=$(realpath -m "${!#}")
parts=("${@:1:$#-1}")
if [[ " $known " == *" $(basename "$out") "* ]]; then
  echo "gpu_check: the last argument is the folder for results; '$(basename "$out")' is a part" >&2
  exit 2
fi
[ ${#parts[@]} -gt 0 ] || read -ra parts <<<"$known"
for part in "${parts[@]}"; do
  [[ " $known " == *" $part "* ]] || { echo "gpu_check: no part $part; parts: $known" >&2; exit 2; }
done
mkdir -p "$out" || exit 2
bin=$(realpath -m "${AB_BIN:-build/cuda/bin}")
limit=${AB_PART_SECONDS:-540}

part_build() {
  cmake --preset cuda -DAB_CUDA=ON -DAB_TESTS=ON && cmake --build build/cuda -j "${AB_JOBS:-$(nproc)}"
}

part_test() {
  ctest --test-dir build/cuda -L cuda --output-on-failure | tee "$out/test_cuda.txt" || return 1
  ! grep '\*\*\*Skipped' "$out/test_cuda.txt" || { echo "tests of the GPU were skipped"; return 1; }
  ctest --test-dir build/cuda -LE cuda --output-on-failure
}

sanitize() {  # tool: the rows of the kernels' case table but the large ones, on the GPU
  PATH=$PATH:$(dirname "$(command -v nvcc)"):/usr/local/cuda/bin
  command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer; it comes with the toolkit"; return 1; }
  AB_TEST_DEVICE=cuda compute-sanitizer --tool "$1" --error-exitcode 9 "$bin/test_kernels" \
    '~[large_fp32]~[large_bf16]'
}
part_memcheck() { sanitize memcheck; }
part_racecheck() { sanitize racecheck; }
part_synccheck() { sanitize synccheck; }

seams='^(gemm|convolution|decompose)_'
part_kernels() {
  "$bin/bench_kernels" --device cuda --filter "^(?!(gemm|convolution|decompose)_)" \
    --save "$out/kernels.json" | tee "$out/kernels.txt"
}
part_seams() {
  "$bin/bench_kernels" --device cuda --filter "$seams" --save "$out/seams.json" | tee "$out/seams.txt"
}

torch_python() {  # the first Python whose torch sees the GPU
  local python
  for python in ${AB_TORCH_PYTHON:-} python3 build/torch/bin/python; do
    "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null || continue
    echo "$python"
    return
  done
  return 1
}
part_torch() {
  if torch_python; then return; fi
  python3 -m venv build/torch && build/torch/bin/pip install --quiet torch && torch_python ||
    { echo "PyTorch cannot be had here: the part step will say 'not measured'"; return 1; }
}

steps=(resnet50:256:bf16 vit:256:bf16 resnet50:128:fp32 vit:128:fp32)
part_step() {
  local step model batch precision python
  : >"$out/step.jsonl"
  : >"$out/step_pytorch.jsonl"
  for step in "${steps[@]}"; do
    IFS=: read -r model batch precision <<<"$step"
    "$bin/bench_step" --device cuda --model "$model" --batch "$batch" --precision "$precision" \
      --seconds 15 --json | tee -a "$out/step.jsonl" || return 1
  done
  if python=$(torch_python); then
    "$python" tools/experiments/pytorch_step.py --device cuda --seconds 15 "${steps[@]}" |
      tee "$out/step_pytorch.jsonl" || return 1
  else
    echo "no Python here has a torch that sees the GPU: not measured"
  fi
  python3 - "$out" <<'PYTHON' | tee "$out/step.txt"
import json, sys
def rows(name):
    return {(r["model"], r["batch"], r["precision"]): r
            for r in map(json.loads, open(f"{sys.argv[1]}/{name}"))}
ours, torch = rows("step.jsonl"), rows("step_pytorch.jsonl")
print("| model | batch | precision | images/s | GF/s | share of GEMM ceiling | PyTorch images/s | ratio |")
print("|---|---|---|---|---|---|---|---|")
for key, r in ours.items():
    other = torch[key]["images_per_s"] if key in torch else None
    beside = f"{other:.0f} | {r['images_per_s'] / other:.2f}" if other else "not measured | |"
    print("| {} | {} | {} |".format(*key), f"{r['images_per_s']:.0f} | {r['gflops']:.0f} |",
          f"{r['share']:.2f} | {beside} |" if other else f"{r['share']:.2f} | {beside}")
PYTHON
}

# Four ranks as threads, on one GPU through host memory, on four through NCCL.
part_train() {
  local device
  for device in host cuda; do
    rm -rf "${out:?}/train_$device"
    "$bin/abtrain" train --config models/configs/mnist/resnet_quickstart.json --device $device \
      --local-ranks 4 --steps 50 --method ab --set ab.group_size=2 --out "$out/train_$device" || return 1
  done
  python3 - "$out" <<'PYTHON' | tee "$out/train.txt"
import json, sys
def losses(device):
    rows = (json.loads(line) for line in open(f"{sys.argv[1]}/train_{device}/metrics.jsonl"))
    return [(r["step"], r["phase"], r["loss"]) for r in rows if "loss" in r]
host, cuda = losses("host"), losses("cuda")
for (step, phase, a), (_, _, b) in zip(host, cuda):
    print(f"step {step:3d} {phase:8s} host {a:.6f} cuda {b:.6f} difference {abs(a - b):.1e}")
ledgers = [json.load(open(f"{sys.argv[1]}/train_{d}/ledger.json")) for d in ("host", "cuda")]
print("ledgers", "identical" if ledgers[0] == ledgers[1] else "DIFFER")
sys.exit(ledgers[0] != ledgers[1] or len(host) != len(cuda))
PYTHON
}

gpus="nvidia-smi is not on the PATH"
gpu=1
if command -v nvidia-smi >/dev/null; then
  gpus=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>&1)
  gpu=$?
fi
{
  echo "$gpus"
  nvcc --version 2>&1 | tail -2
  git log -1 --format='commit %H' 2>&1
} >"$out/machine.txt"
: >"$out/summary.txt"
say() { echo "$*" | tee -a "$out/summary.txt"; }
failed=0
for part in "${parts[@]}"; do
  if [ $gpu != 0 ] && [ "$part" != build ]; then
    say "$part  not run: no GPU here ($(head -1 <<<"$gpus"))"
    failed=6
    continue
  fi
  begin=$SECONDS
  # A shell of its own, that holds the functions and nothing of the loop: timeout ends it and its children.
  timeout -k 10 "$limit" bash -c "set -uo pipefail; $(declare -f); $(declare -p bin out seams steps); part_$part" \
    >"$out/$part.log" 2>&1 </dev/null
  code=$?
  case $code in
    0) word=passed ;;
    124 | 137) word="failed: over $limit s; $part.log and the tables hold what was done" ;;
    *) word="failed: exit code $code, last line: $(tail -1 "$out/$part.log")" ;;
  esac
  [ $code = 0 ] || [ $failed = 6 ] || failed=1
  say "$part  $((SECONDS - begin)) s  $word"
done
exit $failed
