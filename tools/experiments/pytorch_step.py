#!/usr/bin/env python3
"""Whole training steps in PyTorch on one GPU, for the table beside bench_step's.

Prints one JSON object per line: {"model", "batch", "precision", "torch", "images_per_s", "peak_bytes"}.
The models are those of the reference values (tests/models/reference_models.py), with PyTorch's own fused
attention. A step is what bench_step times: forward, loss with smoothing, backward, clipped gradient
norm, AdamW. bf16: autocast, channels last. fp32: full fp32, TF32 off, as train.tf32 is by default.
Usage: pytorch_step.py [--seconds S] MODEL:BATCH:PRECISION...   for example resnet50:256:bf16 vit:128:fp32
"""
import argparse
import json
import os
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("pytorch_step: no torch in " + sys.executable)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/models"))
import reference_models  # noqa: E402

SETTINGS = {
    "resnet50": {"classes": 1000},
    "vit": {"classes": 1000, "image": 224, "patch": 16, "depth": 12, "dim": 768, "heads": 12},
}


def fused_attention(self, x):
    n, t, d = x.shape
    q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
    return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))


def measure(name, batch, precision, seconds):
    model = reference_models.make_model(name, SETTINGS[name]).cuda()
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    x = torch.randn(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    y = torch.randint(0, 1000, (batch,), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(10):
        step()
    torch.cuda.synchronize()
    times, begin = [], time.time()
    while time.time() - begin < seconds or len(times) < 3:
        start = time.time()
        step()
        torch.cuda.synchronize()
        times.append(time.time() - start)
    return batch / sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure each")
    parser.add_argument("steps", nargs="+", metavar="MODEL:BATCH:PRECISION")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("pytorch_step: torch " + torch.__version__ + " sees no GPU")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    reference_models.Attention.forward = fused_attention
    for text in options.steps:
        name, batch, precision = text.split(":")
        torch.cuda.reset_peak_memory_stats()
        speed = measure(name, int(batch), precision, options.seconds)
        print(json.dumps({"model": name, "batch": int(batch), "precision": precision,
                          "torch": torch.__version__, "images_per_s": speed,
                          "peak_bytes": torch.cuda.max_memory_allocated()}), flush=True)


if __name__ == "__main__":
    main()
