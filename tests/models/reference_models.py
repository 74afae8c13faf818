"""The models of the references in PyTorch: timm's parameter names, sizes as the C++ settings mean them.

VGG16 without batch norm and with a 7x7 head, ResNet v1.5 (the stride sits in the 3x3), pre-norm ViT with
class token and a qkv without bias. `width` multiplies channels, rounded half up, at least one.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn


def scaled(channels, width):
    return max(1, math.floor(channels * width + 0.5))


class Vgg16(nn.Module):
    """No batch norm; the head's 7x7 convolution sees a map of at least 7x7."""

    def __init__(self, classes, width=1.0, image=32):
        super().__init__()
        layers, last = [], 3
        for channels, convs in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
            for _ in range(convs):
                layers += [nn.Conv2d(last, scaled(channels, width), 3, padding=1), nn.ReLU()]
                last = scaled(channels, width)
            layers.append(nn.MaxPool2d(2, 2))
        hidden = scaled(4096, width)
        self.features = nn.Sequential(*layers)
        self.pre_logits = nn.ModuleDict(
            {"fc1": nn.Conv2d(last, hidden, 7), "fc2": nn.Conv2d(hidden, hidden, 1)})
        self.head = nn.ModuleDict({"fc": nn.Linear(hidden, classes)})
        self.act = nn.ReLU()

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.features(x), (7, 7))
        x = self.act(self.pre_logits["fc1"](x))
        x = self.act(self.pre_logits["fc2"](x))
        return self.head["fc"](x.mean((2, 3)))


class Block(nn.Module):
    """ResNet's two blocks: 3x3, 3x3 (expansion 1), or 1x1, 3x3 with the stride, 1x1 (expansion 4)."""

    def __init__(self, last, planes, stride, bottleneck):
        super().__init__()
        out = planes * (4 if bottleneck else 1)
        shapes = ([(last, planes, 1, 1), (planes, planes, 3, stride), (planes, out, 1, 1)]
                  if bottleneck else [(last, planes, 3, stride), (planes, out, 3, 1)])
        self.depth = len(shapes)
        for i, (source, target, kernel, step) in enumerate(shapes, 1):
            self.add_module(f"conv{i}", nn.Conv2d(source, target, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(target))
        self.downsample = None
        if stride != 1 or last != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(last, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.act = nn.ReLU()

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = self.act(y) if i < self.depth else y
        return self.act(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    def __init__(self, classes, counts, bottleneck, width=1.0, image=32):
        super().__init__()
        base = scaled(64, width)
        self.conv1 = nn.Conv2d(3, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.act, self.pool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        last = base
        for stage, count in enumerate(counts):
            blocks = []
            for i in range(count):
                planes = scaled(64 << stage, width)
                blocks.append(Block(last, planes, 2 if i == 0 and stage else 1, bottleneck))
                last = planes * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(last, classes)

    def forward(self, x):
        x = self.pool(self.act(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(d // self.heads)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, t, d))


class Layer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn = Attention(dim, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Vit(nn.Module):
    def __init__(self, classes, image, patch, depth, dim, heads):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, (image // patch) ** 2 + 1, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.blocks = nn.Sequential(*[Layer(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, 1e-6)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def make_model(name, settings):
    if name == "vit":
        return Vit(**settings)
    if name == "vgg16":
        return Vgg16(**settings)
    counts = {"resnet18": [2, 2, 2, 2], "resnet50": [3, 4, 6, 3]}[name]
    return ResNet(counts=counts, bottleneck=name == "resnet50", **settings)
