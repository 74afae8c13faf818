#!/usr/bin/env python3
"""Writes tests/models/references/*.safetensors: what PyTorch computes for small versions of the models.

Each file holds one model's weights, one labelled batch, and in training mode (batch statistics, label
smoothing 0.1) its logits, loss, every parameter's gradient and the batch norms' new running statistics,
and the logits in evaluation mode before that step. Inputs are fp32 values; the arithmetic is float64
and its results are rounded once, so a test sees its own error alone. The models (reference_models.py)
are checked against torchvision's first: the same weights must give the same logits.

Needs python3-torch and python3-torchvision; neither building nor testing does.
"""
import json
import math
import os
import struct
import sys

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from reference_models import Block, make_model


def timm_name(name):
    """torchvision's parameter name under timm's spelling."""
    for old, new in [("classifier.0.", "pre_logits.fc1."), ("classifier.3.", "pre_logits.fc2."),
                     ("classifier.6.", "head.fc."), ("class_token", "cls_token"),
                     ("conv_proj.", "patch_embed.proj."), ("encoder.pos_embedding", "pos_embed"),
                     ("encoder.layers.encoder_layer_", "blocks."), ("encoder.ln.", "norm."),
                     (".ln_", ".norm"), ("self_attention.in_proj_weight", "attn.qkv.weight"),
                     ("self_attention.out_proj", "attn.proj"), (".mlp.0.", ".mlp.fc1."),
                     (".mlp.3.", ".mlp.fc2."), ("heads.head.", "head.")]:
        name = name.replace(old, new)
    return name


def check_against_torchvision():
    """The definitions above are torchvision's: counts at full size, and logits from equal weights."""
    tv = torchvision.models
    cases = [("vgg16", dict(classes=10), tv.vgg16, dict(num_classes=10), 32, 134301514),
             ("resnet50", dict(classes=1000), tv.resnet50, {}, 64, 25557032),
             ("resnet18", dict(classes=1000), tv.resnet18, {}, 64, 11689512),
             ("vit", dict(classes=1000, image=224, patch=16, depth=12, dim=768, heads=12),
              tv.vit_b_16, {}, 224, 86540008)]
    for name, settings, make_other, arguments, image, count in cases:
        torch.manual_seed(1)
        ours, other = make_model(name, settings).eval(), make_other(**arguments).eval()
        found = sum(p.numel() for p in ours.parameters())
        assert found == count, (name, found)
        own = ours.state_dict()
        state = {}
        for key, value in other.state_dict().items():
            if key.endswith("in_proj_bias"):  # torchvision's qkv has a bias, ours has none
                assert not value.any()
            else:
                if key == "heads.head.weight":  # starts at zero; a comparison needs an answer
                    value.normal_(0, 0.02)
                state[timm_name(key)] = value.reshape(own[timm_name(key)].shape)
        ours.load_state_dict(state)
        x = torch.randn(2, 3, image, image)
        with torch.no_grad():
            a, b = ours(x), other(x)
        error = ((a - b).norm() / b.norm()).item()
        print(f"{name}: {found} parameters, logits within {error:.1e} of torchvision's")
        assert error < 1e-5, (name, error)
    vit = make_model("vit", dict(classes=100, image=32, patch=8, depth=6, dim=768, heads=6))
    assert sum(p.numel() for p in vit.parameters()) == 42753892


def randomize(model, generator):
    """Every value counts: no zero bias, no gamma of one, statistics that are not the batch's."""
    normal = lambda p, std: p.copy_(torch.randn(p.shape, generator=generator) * std)
    with torch.no_grad():
        for name, p in list(model.named_parameters()) + list(model.named_buffers()):
            if name.endswith("running_var"):
                p.copy_(torch.rand(p.shape, generator=generator) + 0.5)
            elif name.endswith("num_batches_tracked"):
                pass
            elif p.dim() == 1 and name.endswith("weight"):
                p.copy_(torch.rand(p.shape, generator=generator) + 0.5)
            elif p.dim() == 1:
                normal(p, 0.2)
            else:
                normal(p, 0.2 if p.dim() == 3 else math.sqrt(2.0 / p[0].numel()))
        for block in model.modules():  # small branches, or rounding grows from block to block
            if isinstance(block, Block):
                getattr(block, f"bn{block.depth}").weight.mul_(0.25)


def train_step(model, images, labels):
    """(logits, loss, gradients, running statistics); the model's statistics are updated."""
    model.train().zero_grad()
    logits = model(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    statistics = {name: b for name, b in model.named_buffers() if "running" in name}
    return logits.detach(), loss.detach(), gradients, statistics


def watch_kinks(model, margins):
    """Records how near any ReLU input comes to zero and any pooling window to a tie, against the rms:
    a reference whose gradient hangs on the last bit of an activation would test nothing."""

    def relu(module, inputs, output):
        margins.append((inputs[0].abs().min() / inputs[0].pow(2).mean().sqrt()).item())

    def pool(module, inputs, output):
        x = F.pad(inputs[0], [module.padding] * 4)
        windows = x.unfold(2, module.kernel_size, module.stride)
        windows = windows.unfold(3, module.kernel_size, module.stride).flatten(4)
        top = windows.topk(2, -1).values
        gap = (top[..., 0] - top[..., 1])[top[..., 0] > 0]
        margins.append((gap.min() / inputs[0].pow(2).mean().sqrt()).item())

    handles = [m.register_forward_hook(relu if isinstance(m, nn.ReLU) else pool)
               for m in model.modules() if isinstance(m, (nn.ReLU, nn.MaxPool2d))]
    return lambda: [handle.remove() for handle in handles]


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name in sorted(tensors):
        value = tensors[name].detach().contiguous().numpy()
        value = value.astype("<i4" if value.dtype.kind == "i" else "<f4")
        header[name] = {"dtype": "I32" if value.dtype.kind == "i" else "F32",
                        "shape": list(value.shape), "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def attempt(name, settings, batch, seed):
    """(margin, tensors): one candidate reference."""
    generator = torch.Generator().manual_seed(seed)
    model = make_model(name, settings)
    randomize(model, generator)
    images = torch.randn(batch, 3, settings["image"], settings["image"], generator=generator)
    labels = torch.randint(settings["classes"], (batch,), generator=generator)
    held = dict(model.named_parameters())
    held.update((k, b) for k, b in model.named_buffers() if "running" in k)
    tensors = {"weights." + key: value.detach().clone() for key, value in held.items()}
    model.double()
    with torch.no_grad():
        eval_logits = model.eval()(images.double())
    margins = [1.0]
    unhook = watch_kinks(model, margins)
    logits, loss, gradients, statistics = train_step(model, images.double(), labels)
    unhook()
    tensors.update(images=images, labels=labels, eval_logits=eval_logits, logits=logits, loss=loss)
    tensors.update({"gradients." + key: value for key, value in gradients.items()})
    tensors.update({"updated." + key: value for key, value in statistics.items()})
    return min(margins), tensors


def single_precision_error(name, settings, tensors):
    """The worst relative L2 error of a gradient when PyTorch itself works in fp32."""
    model = make_model(name, settings)
    model.load_state_dict({k[8:]: v for k, v in tensors.items() if k.startswith("weights.")}, strict=False)
    _, _, gradients, _ = train_step(model, tensors["images"], tensors["labels"])
    errors = {k: ((g - tensors["gradients." + k]).norm() / tensors["gradients." + k].norm()).item()
              for k, g in gradients.items()}
    return max(errors.values())


REFERENCES = {  # file: model, settings, batch, how many seeds to choose from
    "vgg16": ("vgg16", dict(classes=10, image=32, width=0.025), 8, 30),
    "vgg16_64px": ("vgg16", dict(classes=7, image=64, width=0.02), 3, 30),
    "resnet18": ("resnet18", dict(classes=10, image=32, width=0.05), 12, 30),
    "resnet50": ("resnet50", dict(classes=10, image=32, width=0.05), 16, 30),
    "vit": ("vit", dict(classes=10, image=32, patch=8, depth=4, dim=32, heads=4), 5, 1),
}


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "references")
    os.makedirs(folder, exist_ok=True)
    if "--skip-torchvision" not in sys.argv:
        check_against_torchvision()
    for file, (name, settings, batch, seeds) in REFERENCES.items():
        best = max((attempt(name, settings, batch, seed) for seed in range(1, seeds + 1)),
                   key=lambda result: result[0])
        margin, tensors = best
        error = single_precision_error(name, settings, tensors)
        path = os.path.join(folder, file + ".safetensors")
        write_safetensors(path, tensors, {"name": name, **{k: str(v) for k, v in settings.items()}})
        count = sum(v.numel() for k, v in tensors.items() if k.startswith("gradients."))
        zero = [k for k, v in tensors.items() if k.startswith("gradients.") and not v.any()]
        print(f"{file}: {count} parameters, loss {tensors['loss']:.4f}, kink margin {margin:.1e}, "
              f"fp32 gradients within {error:.1e}, {os.path.getsize(path)} bytes, zero: {zero}")
        assert error < 1e-4 and not zero


if __name__ == "__main__":
    main()
