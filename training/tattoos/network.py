"""The network: EfficientNet-lite0 up to a thirty-second of the size, and a light decoder to a map at an eighth.

The backbone knows edges, textures and things from a million photographs; the decoder has to learn from painted pictures
only which of them are ink in skin. Input: n x 3 x height x width, RGB, (byte - 127) / 128, sides multiples of 32.
Output: n x 1 x height / 8 x width / 8, logits while training; the exported model gives shares from 0 to 1.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Block:
    """An inverted residual: widened `expand` times, filtered by `kernel` at `stride`, narrowed to `channels`."""

    expand: int
    kernel: int
    stride: int
    channels: int


BLOCKS = (
    Block(1, 3, 1, 16),
    Block(6, 3, 2, 24),
    Block(6, 3, 1, 24),
    Block(6, 5, 2, 40),
    Block(6, 5, 1, 40),
    Block(6, 3, 2, 80),
    Block(6, 3, 1, 80),
    Block(6, 3, 1, 80),
    Block(6, 5, 1, 112),
    Block(6, 5, 1, 112),
    Block(6, 5, 1, 112),
    Block(6, 5, 2, 192),
    Block(6, 5, 1, 192),
    Block(6, 5, 1, 192),
    Block(6, 5, 1, 192),
)
"""The first six stages. The last stage and the classifier of the original are not used."""

TAPS = (4, 10, 14)
"""After these blocks the decoder listens: an eighth, a sixteenth, a thirty-second of the size."""

WIDTH = 64


class Conv(nn.Module):
    """Convolution, batch norm, and ReLU6 where `active`; padding as TensorFlow's "same", which the weights expect."""

    def __init__(
        self, inside: int, outside: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outside, eps=1e-3, momentum=0.01)
        self.active = active
        total = kernel - stride if stride > 1 else kernel - 1  # for sides that are multiples of the stride
        self.before, self.after = total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        """n x inside x h x w -> n x outside x h / stride x w / stride."""
        if self.before == self.after:
            x = F.conv2d(x, self.conv.weight, None, self.conv.stride, self.before, 1, self.conv.groups)
        else:
            x = self.conv(F.pad(x, (self.before, self.after, self.before, self.after)))
        x = self.norm(x)
        return F.relu6(x) if self.active else x


class Residual(nn.Module):
    """One `Block`."""

    def __init__(self, inside: int, block: Block) -> None:
        super().__init__()
        wide = inside * block.expand
        parts = [Conv(inside, wide)] if block.expand > 1 else []
        parts.append(Conv(wide, wide, block.kernel, block.stride, groups=wide))
        parts.append(Conv(wide, block.channels, active=False))
        self.parts = nn.Sequential(*parts)
        self.adds = block.stride == 1 and inside == block.channels

    def forward(self, x: Tensor) -> Tensor:
        """Adds what it computes to what it was given, where the shapes allow."""
        out: Tensor = self.parts(x)
        return x + out if self.adds else out


class Backbone(nn.Module):
    """The first stages of EfficientNet-lite0."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        channels = [32, *(block.channels for block in BLOCKS)]
        self.blocks = nn.ModuleList(Residual(inside, block) for inside, block in zip(channels, BLOCKS, strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features at the `TAPS`."""
        x = self.stem(x)
        taken = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPS:
                taken.append(x)
        return taken

    def load(self, path: Path) -> None:
        """Takes the published weights by their order: ours are the first of theirs, in the same order."""
        published = torch.load(path, map_location="cpu", weights_only=True)
        values = list(published.values())
        own = self.state_dict()
        with torch.no_grad():
            for (name, ours), theirs in zip(own.items(), values, strict=False):
                if ours.shape != theirs.shape:
                    raise ValueError(f"{name} is {tuple(ours.shape)} here and {tuple(theirs.shape)} in {path.name}")
                ours.copy_(theirs)


class Decoder(nn.Module):
    """From coarse to fine: each step takes the coarser map, twice as large, and adds the finer features."""

    def __init__(self) -> None:
        super().__init__()
        channels = [BLOCKS[tap].channels for tap in TAPS]
        self.side = nn.ModuleList(Conv(each, WIDTH) for each in channels)
        self.mix = nn.ModuleList(
            nn.Sequential(Conv(WIDTH, WIDTH, 5, groups=WIDTH), Conv(WIDTH, WIDTH)) for _ in channels
        )
        self.head = nn.Conv2d(WIDTH, 1, 1)
        self.drop = nn.Dropout2d(0.1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits at an eighth of the picture's size."""
        x = self.mix[2](self.side[2](features[2]))
        for level in (1, 0):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = self.mix[level](x + self.side[level](features[level]))
        logits: Tensor = self.head(self.drop(x))
        return logits


class TattooNet(nn.Module):
    """Backbone and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.decoder = Decoder()

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits at an eighth of the picture's size."""
        out: Tensor = self.decoder(self.backbone(pictures))
        return out
