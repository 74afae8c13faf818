"""One training step of PyTorch on the CPU, timed: the other side of pytorch_compare.py.

The step is bench_step's: forward, cross-entropy with label smoothing 0.1, backward, clipping by the
global norm, AdamW; fp32 master weights, bf16 by autocast; no dropout and no drop path. PyTorch gets
its fastest known form: fused AdamW, attention by scaled_dot_product_attention.
Prints one JSON object. With RANK and WORLD_SIZE set, gradients are averaged by
DistributedDataParallel over Gloo.
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "models"))
import reference_models  # noqa: E402

SIZES = {  # model of bench_step: (model of reference_models, settings, image side, classes)
    "vgg16": ("vgg16", {"classes": 10, "image": 32}, 32, 10),
    "resnet50": ("resnet50", {"classes": 1000, "image": 224}, 224, 1000),
    "vit": ("vit", {"classes": 1000, "image": 224, "patch": 16, "depth": 12, "dim": 768, "heads": 12}, 224, 1000),
    "mini-vit": ("vit", {"classes": 100, "image": 32, "patch": 8, "depth": 6, "dim": 768, "heads": 6}, 32, 100),
}


class FusedAttention(reference_models.Attention):
    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))


def make_step(options):
    """A function that runs one training step, and the plain model's parameter count."""
    reference_models.Attention = FusedAttention
    name, settings, image, classes = SIZES[options.model]
    torch.manual_seed(1)
    layout = torch.channels_last if options.layout == "nhwc" else torch.contiguous_format
    model = reference_models.make_model(name, settings).to(memory_format=layout).train()
    parameters = sum(p.numel() for p in model.parameters())
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model)
    if options.mode == "compiled":
        model = torch.compile(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.1, fused=True)
    x = torch.randn(options.batch, 3, image, image).to(memory_format=layout)
    y = torch.arange(options.batch) % classes
    cast = (torch.autocast("cpu", torch.bfloat16) if options.precision == "bf16"
            else contextlib.nullcontext())

    def step():
        with cast:
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step, parameters


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=SIZES, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--mode", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nhwc")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    step, parameters = make_step(options)
    step()
    step()
    times = []
    distributed = "RANK" in os.environ
    while distributed and len(times) < 6 or not distributed and (
            sum(times) < options.seconds or len(times) < 3):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    world = int(os.environ.get("WORLD_SIZE", 1))
    if int(os.environ.get("RANK", 0)) == 0:
        print(json.dumps({
            "torch": torch.__version__,
            "parameters": parameters,
            "images_per_s": world * options.batch / statistics.median(times),
            "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
    if distributed:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
