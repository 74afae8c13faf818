#!/usr/bin/env python3
"""Steps of abtrain beside PyTorch's on the same cores, in one run, as a markdown table.

For each model and precision PyTorch's fastest of {eager, compiled} x {NCHW, NHWC} is found by short
runs; that one and bench_step are then timed in turns (A B A B ...), and the ratio of the medians is
printed with the aims of 1.2 in images/s and 0.8 in peak resident memory. With --ddp also four ranks of
one thread each with gradients averaged: abtrain over MPI, PyTorch's DistributedDataParallel over Gloo.

Needs a Python with torch, named by --python; nothing else in the project needs it:
  python3 -m venv build/torch && build/torch/bin/pip install torch numpy
  tools/experiments/pytorch_compare.py --python build/torch/bin/python
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORCH_STEP = ROOT / "tools" / "experiments" / "pytorch_step.py"
ROWS = {"vgg16": 128, "resnet50": 16, "vit": 8, "mini-vit": 128}  # model: images of a step
DDP_ROWS = {"vgg16": 32, "resnet50": 4, "vit": 2, "mini-vit": 32}  # images of a step and rank
DDP_RANKS, DDP_STEPS = 4, 8
VARIANTS = [(mode, layout) for mode in ("eager", "compiled") for layout in ("nchw", "nhwc")]


def output_of(command, env=None, timeout=900):
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout,
                         env={**os.environ, **(env or {})})
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {run.returncode}\n{run.stderr[-800:]}")
    return run.stdout


def ours(options, model, precision, seconds):
    return json.loads(output_of([options.bin / "bench_step", "--model", model, "--batch", ROWS[model],
                                 "--precision", precision, "--threads", options.threads,
                                 "--seconds", seconds, "--json"]))


def theirs(options, model, precision, variant, seconds):
    mode, layout = variant
    threads = str(options.threads)
    return json.loads(output_of(
        [options.python, TORCH_STEP, "--mode", mode, "--layout", layout, "--threads", threads,
         "--seconds", seconds, f"{model}:{ROWS[model]}:{precision}"],
        {"OMP_NUM_THREADS": threads}))


def fastest_variant(options, model, precision):
    """PyTorch's best variant by one short run each; a variant that fails is told and left out."""
    rates = {}
    for variant in VARIANTS:
        if variant[0] in options.modes:
            try:
                rates[variant] = theirs(options, model, precision, variant, 3)["images_per_s"]
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{model} {precision} {variant}: left out: {error}", file=sys.stderr)
    return max(rates, key=rates.get)


def compare(options, model, precision):
    variant = fastest_variant(options, model, precision)
    pairs = []
    for _ in range(options.rounds):
        pairs.append((ours(options, model, precision, options.seconds),
                      theirs(options, model, precision, variant, options.seconds)))
    middle = lambda side, key: statistics.median(pair[side][key] for pair in pairs)
    us, them = middle(0, "images_per_s"), middle(1, "images_per_s")
    memory = middle(0, "resident_bytes") / middle(1, "peak_bytes")
    print(f"| {model} | {ROWS[model]} | {precision} | {us:.1f} | {them:.1f} ({' '.join(variant)}) | "
          f"{us / them:.2f} | {verdict(us / them >= 1.2)} | {middle(0, 'share'):.3f} | "
          f"{middle(0, 'resident_bytes') / 1e6:.0f} | {middle(1, 'peak_bytes') / 1e6:.0f} | "
          f"{memory:.2f} | {verdict(memory <= 0.8)} |", flush=True)


def verdict(reached):
    return "reached" if reached else "missed"


def ours_ddp(options, model, precision):
    """Images per second of all ranks: the median step of a short run on generated images."""
    image = 224 if model in ("resnet50", "vit") else 32
    config = {"model": {"name": model, "image": image},
              "data": {"format": "synthetic", "local_batch": DDP_ROWS[model], "workers": 1},
              "train": {"steps": DDP_STEPS, "precision": precision, "log_every": 1, "eval_every": 1000,
                        "init": "default"}}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "config.json")
        path.write_text(json.dumps(config))
        output_of(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", DDP_RANKS, options.bin / "abtrain",
                   "train", "--config", path, "--method", "ddp", "--out", pathlib.Path(folder, "run")],
                  {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                   "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
        lines = [json.loads(line) for line in pathlib.Path(folder, "run", "metrics.jsonl").open()]
    times = [line["step_s"] for line in lines if "step_s" in line][2:]
    return DDP_RANKS * DDP_ROWS[model] / statistics.median(times)


def theirs_ddp(options, model, precision, variant):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [options.python, TORCH_STEP, "--mode", variant[0], "--layout", variant[1], "--threads", 1,
               f"{model}:{DDP_ROWS[model]}:{precision}"]
    ranks = [subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank),
                                   "WORLD_SIZE": str(DDP_RANKS), "MASTER_ADDR": "127.0.0.1",
                                   "MASTER_PORT": str(port)}) for rank in range(DDP_RANKS)]
    outputs = [rank.communicate(timeout=900)[0] for rank in ranks]
    return json.loads(outputs[0])["images_per_s"]


def compare_ddp(options, model, precision):
    variant = max((v for v in VARIANTS if v[0] == "eager"),
                  key=lambda v: theirs_ddp(options, model, precision, v))
    pairs = [(ours_ddp(options, model, precision), theirs_ddp(options, model, precision, variant))
             for _ in range(options.rounds)]
    us, them = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    print(f"| {model} | {DDP_RANKS} x {DDP_ROWS[model]} | {precision} | {us:.1f} | "
          f"{them:.1f} ({' '.join(variant)}) | {us / them:.2f} | {verdict(us / them >= 1.2)} |", flush=True)


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown CPU")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--models", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--modes", nargs="+", choices=["eager", "compiled"], default=["eager", "compiled"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each timed turn")
    parser.add_argument("--rounds", type=int, default=2, help="turns of A B")
    parser.add_argument("--ddp", action="store_true", help="the comparison of four ranks instead")
    options = parser.parse_args()
    version = output_of([options.bin / "abtrain", "--version"]).strip()
    torch = output_of([options.python, "-c", "import torch; print(torch.__version__)"]).strip()
    print(f"{version}, PyTorch {torch}, {machine()}, {os.cpu_count()} cores, "
          f"{options.threads} threads; command: {' '.join(sys.argv[:1] + sys.argv[1:])}\n")
    if options.ddp:
        print("| model | ranks x batch | precision | images/s | PyTorch DDP (Gloo) | ratio | aim 1.2 |\n"
              "|---|---|---|---|---|---|---|", flush=True)
    else:
        print("| model | batch | precision | images/s | PyTorch | ratio | aim 1.2 | share of ceiling | "
              "resident MB | PyTorch MB | ratio | aim 0.8 |\n|" + "---|" * 12, flush=True)
    for precision in options.precisions:
        for model in options.models:
            (compare_ddp if options.ddp else compare)(options, model, precision)


if __name__ == "__main__":
    main()
