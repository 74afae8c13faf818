#!/usr/bin/env python3
"""Whole training steps in PyTorch, for the tables beside bench_step's.

A step is what bench_step times: forward, cross-entropy with label smoothing 0.1, backward, clipping by
the global norm, AdamW. The models are those of the reference values (tests/models/reference_models.py),
without drop path; PyTorch gets its fused attention and its fused AdamW. bf16: autocast over fp32
weights. fp32 on a GPU: TF32 off, as train.tf32 is by default.
Prints one JSON object per step: {"model", "batch", "precision", "torch", "images_per_s", "peak_bytes"};
the bytes are the GPU's allocations, or on the CPU the most that the process held.
With RANK and WORLD_SIZE set, DistributedDataParallel over Gloo averages the gradients; images of all
ranks count, and rank 0 prints.
Usage: pytorch_step.py [--device cuda] MODEL:BATCH:PRECISION...   for example resnet50:256:bf16
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("pytorch_step: no torch in " + sys.executable)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "models"))
import reference_models  # noqa: E402

SIZES = {  # model of bench_step: (model of reference_models, its settings, side of the images)
    "vgg16": ("vgg16", {"classes": 10, "image": 32}, 32),
    "resnet50": ("resnet50", {"classes": 1000, "image": 224}, 224),
    "vit": ("vit", {"classes": 1000, "image": 224, "patch": 16, "depth": 12, "dim": 768, "heads": 12}, 224),
    "mini-vit": ("vit", {"classes": 100, "image": 32, "patch": 8, "depth": 6, "dim": 768, "heads": 6}, 32),
}
RANK, WORLD = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))


def fused_attention(self, x):
    n, t, d = x.shape
    q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
    return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))


def make_step(name, batch, precision, options):
    """A function that runs one training step."""
    model_name, settings, image = SIZES[name]
    torch.manual_seed(1)
    layout = torch.channels_last if options.layout == "nhwc" else torch.contiguous_format
    model = reference_models.make_model(model_name, settings).to(options.device, memory_format=layout)
    if WORLD > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)
    if options.mode == "compiled":
        model = torch.compile(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.1, fused=True)
    x = torch.randn(batch, 3, image, image).to(options.device, memory_format=layout)
    y = (torch.arange(batch) % settings["classes"]).to(options.device)

    def step():
        with torch.autocast(options.device, torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def median_seconds(step, options):
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    for _ in range(10 if options.device == "cuda" else 2):
        step()
    wait()
    times = []
    # Ranks must agree on the number of steps.
    while len(times) < 6 if WORLD > 1 else sum(times) < options.seconds or len(times) < 3:
        begin = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peak_bytes(options):
    if options.device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def prepare(options):
    if options.device == "cuda":
        if not torch.cuda.is_available():
            sys.exit("pytorch_step: torch " + torch.__version__ + " sees no GPU")
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    torch.set_num_threads(options.threads)
    if WORLD > 1:
        torch.distributed.init_process_group("gloo")
    reference_models.Attention.forward = fused_attention


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--mode", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nhwc")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure each")
    parser.add_argument("steps", nargs="+", metavar="MODEL:BATCH:PRECISION")
    options = parser.parse_args()
    prepare(options)
    for text in options.steps:
        name, batch, precision = text.split(":")
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = median_seconds(make_step(name, int(batch), precision, options), options)
        if RANK == 0:
            print(json.dumps({"model": name, "batch": int(batch), "precision": precision,
                              "torch": torch.__version__, "images_per_s": WORLD * int(batch) / seconds,
                              "peak_bytes": peak_bytes(options)}), flush=True)
    if WORLD > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
