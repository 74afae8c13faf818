#!/usr/bin/env bash
# Everything that wants a GPU, in parts of at most nine minutes each; time on a GPU is rare, so nothing is
# improvised there. Each part writes OUT/<part>.log and tables beside it, and OUT/summary.txt says how it
# ended. A part that runs into its limit ends as failed; the parts after it still run.
# Usage: tools/gpu_check.sh [part…] OUT     parts, in this order when none is named:
#   build      the cuda preset with tests (AB_JOBS compile jobs, default: all cores)
#   test       the whole suite, every device-parameterised test on the GPU too
#   memcheck racecheck synccheck   compute-sanitizer over the kernel tests
#   kernels    bench_kernels on the GPU: kernels.txt, kernels.json
#   step       bench_step, ResNet-50 and ViT-B/16 in bf16: step.jsonl; PyTorch beside it where it is there
#   train      50 steps of AB-training on host and GPU: losses side by side, ledgers compared
set -uo pipefail
cd "$(dirname "$0")/.."
parts_known="build test memcheck racecheck synccheck kernels step train"
[ $# -ge 1 ] || { sed -n '2,15p' "$0"; exit 2; }
out=$(realpath -m "${!#}")
parts=("${@:1:$#-1}")
if [[ " $parts_known " == *" $(basename "$out") "* ]]; then
  echo "gpu_check: the last argument is the folder for results; '$(basename "$out")' is a part" >&2
  exit 2
fi
[ ${#parts[@]} -gt 0 ] || read -ra parts <<<"$parts_known"
for part in "${parts[@]}"; do
  [[ " $parts_known " == *" $part "* ]] || { echo "gpu_check: no part $part; parts: $parts_known" >&2; exit 2; }
done
mkdir -p "$out" || exit 2
bin=$PWD/build/cuda/bin
limit=${AB_PART_SECONDS:-540}

part_build() {
  cmake --preset cuda -DAB_CUDA=ON -DAB_TESTS=ON && cmake --build build/cuda -j "${AB_JOBS:-$(nproc)}"
}

part_test() { ctest --test-dir build/cuda --output-on-failure; }

sanitize() {  # tool: the kernels' case table, on the GPU
  AB_TEST_DEVICE=cuda compute-sanitizer --tool "$1" --error-exitcode 9 "$bin/test_kernels"
}
part_memcheck() { sanitize memcheck; }
part_racecheck() { sanitize racecheck; }
part_synccheck() { sanitize synccheck; }

part_kernels() {
  "$bin/bench_kernels" --device cuda | tee "$out/kernels.txt" &&
    "$bin/bench_kernels" --device cuda --json >"$out/kernels.json"
}

part_step() {
  : >"$out/step.jsonl"
  local line
  for line in "resnet50 256 bf16" "resnet50 128 fp32" "vit 256 bf16" "vit 128 fp32"; do
    read -r model batch precision <<<"$line"
    "$bin/bench_step" --device cuda --model "$model" --batch "$batch" --precision "$precision" \
      --seconds 15 --json | tee -a "$out/step.jsonl" || return 1
  done
  if python3 -c 'import torch, torchvision; assert torch.cuda.is_available()' 2>/dev/null; then
    pytorch_steps | tee "$out/step_pytorch.jsonl"
  else
    echo "PyTorch with CUDA and torchvision: not here, so not measured"
  fi
}

pytorch_steps() {  # the same two steps in PyTorch: bf16 autocast, channels last, fused AdamW
  python3 - <<'PYTHON'
import json, time, torch, torchvision
for name, make in (("resnet50", torchvision.models.resnet50), ("vit", torchvision.models.vit_b_16)):
    model = make().cuda().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    x = torch.randn(256, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    y = torch.randint(0, 1000, (256,), device="cuda")
    def step():
        with torch.autocast("cuda", torch.bfloat16):
            value = loss(model(x), y)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    begin, steps = time.time(), 0
    while time.time() - begin < 15:
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        steps += 5
    print(json.dumps({"model": name, "batch": 256, "precision": "bf16", "torch": torch.__version__,
                      "images_per_s": 256 * steps / (time.time() - begin)}), flush=True)
PYTHON
}

# Four ranks as threads, on one GPU through host memory, on four through NCCL.
part_train() {
  local device
  for device in host cuda; do
    rm -rf "${out:?}/train_$device"
    "$bin/abtrain" train --config models/configs/mnist/resnet_quickstart.json --device $device \
      --local-ranks 4 --steps 50 --set ab.group_size=2 --out "$out/train_$device" || return 1
  done
  python3 - "$out" <<'PYTHON'
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

export -f part_build part_test sanitize part_memcheck part_racecheck part_synccheck part_kernels \
  part_step pytorch_steps part_train
export bin out
{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>&1
  nvcc --version 2>&1 | tail -2
  git log -1 --format='commit %H' 2>&1
} >"$out/machine.txt"
: >"$out/summary.txt"
failed=0
for part in "${parts[@]}"; do
  begin=$SECONDS
  timeout -k 10 "$limit" bash -c "set -uo pipefail; part_$part" >"$out/$part.log" 2>&1
  code=$?
  case $code in
    0) word=passed ;;
    124 | 137) word="failed: over $limit s" ;;
    *) word="failed: exit code $code, last line: $(tail -1 "$out/$part.log")" ;;
  esac
  [ $code = 0 ] || failed=1
  echo "$part  $((SECONDS - begin)) s  $word" | tee -a "$out/summary.txt"
done
exit $failed
