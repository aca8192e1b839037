"""Compact convolutional transformer (CCT): convolutions make the tokens, attention pools them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class CCT(nn.Module):
    """CCT of Hassani et al. 2021 for square images of `size` pixels.

    `tokenizer` holds kernel and stride of each convolution, all followed by a 3 by 3 max pooling
    of stride 2. Positions are sinusoidal and fixed; a learned attention pools the sequence.
    Attention is dropped out at rate `attention_dropout`, whole branches at a rate that rises to
    `stochastic_depth` in the last layer. ValueError if no token would be left or `heads` does not
    divide `width`.

    >>> model = CCT(size=32, num_classes=102, layers=1, heads=2, width=32, tokenizer=((3, 1),))
    >>> x = torch.zeros(2, 3, 32, 32)
    >>> model.tokens, model(x).shape, model.features(x).shape
    (256, torch.Size([2, 102]), torch.Size([2, 32]))
    """

    def __init__(
        self,
        size: int = 224,
        num_classes: int = 102,
        in_channels: int = 3,
        layers: int = 7,
        heads: int = 4,
        width: int = 256,
        mlp_ratio: float = 2.0,
        tokenizer: tuple[tuple[int, int], ...] = ((7, 2), (7, 2)),
        attention_dropout: float = 0.1,
        stochastic_depth: float = 0.1,
    ):
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide width, got {heads} heads and width {width}")
        self.tokenizer = _tokenizer(in_channels, width, tokenizer)
        side = size
        for kernel, stride in tokenizer:
            side = (side + 2 * (kernel // 2) - kernel) // stride + 1
            side = (side - 1) // 2 + 1
        if side < 2:
            raise ValueError(f"size {size} leaves {side}x{side} tokens: use fewer convolutions")
        self.tokens = side * side
        self.register_buffer("positions", _sinusoids(self.tokens, width), persistent=False)
        rates = torch.linspace(0, stochastic_depth, layers).tolist()
        self.layers = nn.ModuleList(
            _Layer(width, heads, int(width * mlp_ratio), attention_dropout, rate) for rate in rates
        )
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, 1)
        self.classifier = nn.Linear(width, num_classes)
        self.apply(_initialize)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The pooled sequence, input of the last layer, `(B, width)`."""
        tokens = self.tokenizer(x).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = self.norm(tokens)
        weight = self.pool(tokens).softmax(dim=1)
        return (weight * tokens).sum(dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


def cct_7_7x2(num_classes: int = 102, size: int = 224) -> CCT:
    """CCT-7/7x2 with sinusoidal positions: 196 tokens at 224 pixels, 4.5 million weights."""
    return CCT(size=size, num_classes=num_classes)


class _Layer(nn.Module):
    """Attention and MLP; the second norm acts on the stream itself, as in the reference code."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, drop_branch: float):
        super().__init__()
        self.heads, self.dropout, self.drop_branch = heads, dropout, drop_branch
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = self.norm2(tokens + self._maybe(self._attention(self.norm1(tokens))))
        return tokens + self._maybe(self.mlp(tokens))

    def _attention(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, width = tokens.shape
        shape = (batch, count, 3, self.heads, width // self.heads)
        query, key, value = self.qkv(tokens).view(shape).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=rate)
        return self.project(mixed.transpose(1, 2).reshape(batch, count, width))

    def _maybe(self, branch: torch.Tensor) -> torch.Tensor:
        """Stochastic depth: the branch is left out for some images, scaled up for the others."""
        if not self.training or self.drop_branch == 0:
            return branch
        keep = 1 - self.drop_branch
        mask = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return branch * mask / keep


def _tokenizer(
    in_channels: int, width: int, convolutions: tuple[tuple[int, int], ...]
) -> nn.Sequential:
    widths = [in_channels, *[64] * (len(convolutions) - 1), width]
    layers: list[nn.Module] = []
    for index, (kernel, stride) in enumerate(convolutions):
        pair = widths[index], widths[index + 1]
        layers += [
            nn.Conv2d(*pair, kernel, stride, padding=kernel // 2, bias=False),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        ]
    return nn.Sequential(*layers)


def _sinusoids(count: int, width: int) -> torch.Tensor:
    """Fixed positions `(1, count, width)`: sines in even, cosines in odd places."""
    index = torch.arange(width)
    rate = 10000.0 ** (-2 * (index // 2) / width)
    angle = torch.arange(count)[:, None] * rate
    return torch.where(index % 2 == 0, angle.sin(), angle.cos())[None]


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
