#!/usr/bin/env python3
"""Writes tests/models/references/full_size.json: what PyTorch computes for the paper's models at full size.

No file holds their weights: every value is a formula of its parameter's name and its place in it
(Philox words, exact in fp32; full_size_test.cpp fills the same values), and so are images and labels.
One training step (batch statistics, label smoothing 0.1) in float64 gives the loss, all logits, and per
parameter three numbers of its gradient g: the norm |g| and two sums of g under signs drawn for each entry.
An error e of the gradient moves such a sum by about |e|, wherever in the tensor it sits.

Prints beside it how far PyTorch itself comes from these values in fp32. Needs torch and numpy.
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

from reference_models import make_model

MODELS = {
    "vit": dict(classes=1000, image=224, patch=16, depth=12, dim=768, heads=12),
    "resnet50": dict(classes=1000, image=224),
    "vgg16": dict(classes=10, image=32),
    "mini-vit": dict(classes=100, image=32, patch=8, depth=6, dim=768, heads=6),
}
BATCH = 2


def fnv1a(text):
    """64-bit FNV-1a of a name: the key of its numbers."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def words(name, count):
    """Word i % 4 of Philox4x32-10 at counter i / 4 under the name's key, for i < count."""
    low32, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    key = fnv1a(name)
    out = np.empty(-(-count // 4) * 4, np.uint32)
    for start in range(0, len(out) // 4, 1 << 20):
        x = np.arange(start, min(start + (1 << 20), len(out) // 4), dtype=np.uint64)
        y = z = w = np.zeros_like(x)
        k0, k1 = key & 0xFFFFFFFF, key >> 32
        for _ in range(10):
            p0, p1 = x * np.uint64(0xD2511F53), z * np.uint64(0xCD9E8D57)
            x, y, z, w = ((p1 >> shift) ^ y ^ np.uint64(k0), p1 & low32,
                          (p0 >> shift) ^ w ^ np.uint64(k1), p0 & low32)
            k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
        out[start * 4:(start + len(x)) * 4] = np.stack([x, y, z, w], 1).astype(np.uint32).ravel()
    return out[:count]


def numbers(name, count):
    """Uniform in [-1, 1), multiples of 2^-23."""
    return (words(name, count) >> 8).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def formula(name, shape):
    """Weights get a variance of 2 / fan-in, branches of ResNet a small last scale, so that no
    activation grows from block to block."""
    u = numbers(name, math.prod(shape))
    if len(shape) in (2, 4):
        u *= np.float32(math.sqrt(6.0 / math.prod(shape[1:])))
    elif len(shape) == 1 and name.endswith("weight"):
        u = np.float32(1) + np.float32(0.5) * u
        if name.endswith("bn3.weight"):
            u *= np.float32(0.25)
    else:  # embeddings, biases
        u *= np.float32(0.25)
    return torch.from_numpy(u.reshape(shape))


def train_step(model, images, labels):
    """(loss, logits, gradients by name)"""
    model.train().zero_grad()
    logits = model(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
    loss.backward()
    return loss.item(), logits.detach(), {name: p.grad for name, p in model.named_parameters()}


def summary(name, gradient):
    """[|g|, sum of +-g, sum of +-g], the signs being the lowest two bits of the words."""
    g = gradient.double().flatten().numpy()
    bits = words("signs of " + name, len(g))
    return [float(np.linalg.norm(g))] + [
        float(np.sum(np.where(bits >> np.uint32(b) & np.uint32(1), -g, g))) for b in (0, 1)]


def reference(name, settings):
    model = make_model("vit" if name == "mini-vit" else name, settings)
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(formula(key, tuple(p.shape)))
    image = settings["image"]
    images = torch.from_numpy(2 * numbers("images", BATCH * 3 * image * image)).reshape(BATCH, 3, image, image)
    labels = torch.tensor([(3 + 5 * n) % settings["classes"] for n in range(BATCH)])
    _, fp32_logits, fp32_gradients = train_step(model, images, labels)
    loss, logits, gradients = train_step(model.double(), images.double(), labels)
    distance = lambda a, b: ((a - b).norm() / b.norm()).item()
    errors = {key: distance(fp32_gradients[key], g) for key, g in gradients.items()}
    worst = max(errors, key=errors.get)
    print(f"{name}: {sum(g.numel() for g in gradients.values())} parameters, loss {loss:.5f}, in fp32 "
          f"logits within {distance(fp32_logits, logits):.1e}, gradients {errors[worst]:.1e} ({worst})",
          flush=True)
    return dict(settings=settings, batch=BATCH, loss=loss, logits=logits.flatten().tolist(),
                gradients={key: summary(key, g) for key, g in gradients.items()})


def text(value):
    """JSON with eight digits and a line for each gradient."""
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",\n".join(f"{json.dumps(k)}: {text(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "references", "full_size.json")
    with open(path, "w") as file:
        file.write(text({name: reference(name, settings) for name, settings in MODELS.items()}) + "\n")
    print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
