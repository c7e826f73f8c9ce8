"""A small convolutional network that follows the dashed paths from the dots of Pathfinder, round by round.

In every round the same few convolutions see the picture and the marks of the round before, and mark one dash more of
each path that begins at a dot. Where both dots sit on one path it is marked from both ends and no more; where they do
not, two paths are marked from one end each. So the label is read, by least squares, from how much is marked after every
round. From labels alone a network finds out what is asked for only after millions of pictures. While it is trained this
one is shown the marks that the drawing knows to be right; tested, it sees the picture alone.

Legend: n pictures of s x s pixels, c side of a cell in pixels.

Sources: contours by horizontal connections, Linsley et al. 2018; rounds that begin from true marks with a falling
probability, Bengio et al. 2015 (scheduled sampling).
"""

from __future__ import annotations

import torch
from path_pictures import Drawn, batches
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, relu


class Follower(nn.Module):
    """`layers` residual convolutions over cells of c x c pixels, shared by all rounds."""

    def __init__(self, rounds: int, cell: int, channels: int, layers: int) -> None:
        super().__init__()
        self.rounds, self.cell = rounds, cell
        self.enter = nn.Conv2d(2 * cell**2, channels, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        self.mark = nn.Conv2d(channels, cell**2, 1)
        self.kept = nn.Parameter(torch.tensor(6.0))
        """What is marked stays so unless the convolutions object: they have to find only what is new."""

    def round(self, x: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
        """From a picture and its marks, both (n, 1, s, s) in 0..1, to the logits of new marks (n, 1, s, s)."""
        h = relu(self.enter(pixel_unshuffle(torch.cat([x, marks], dim=1), self.cell)))
        for layer in self.layers:
            h = h + relu(layer(h))
        return pixel_shuffle(self.mark(h), self.cell) + self.kept * (marks - 0.5)


def loss(net: Follower, batch: Drawn, told: float) -> torch.Tensor:
    """Summed over rounds; after round t all that lies within t dashes of a dot is to be marked.

    A round begins from the true marks with probability `told`, else from those that the network made itself.
    """
    x = batch.x.float() / 255
    marks, total = torch.zeros_like(x), x.new_zeros(())
    for t in range(net.rounds):
        logits, truth = net.round(x, marks), (batch.away <= t).float()
        total = total + cross_entropy(logits, truth)
        own = torch.rand(len(x), 1, 1, 1, device=x.device) >= told
        marks = torch.where(own, logits.detach().sigmoid(), truth)
    return total


def train(net: Follower, pictures: Drawn, count: int, size: int, rate: float) -> None:
    """`count` steps on batches of `size`; from half-way on the network has its own marks only."""
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=count, pct_start=0.1)
    for step, batch in enumerate(batches(pictures, size, count, seed=0)):
        optimiser.zero_grad()
        loss(net, batch, told=1 - 2 * step / count).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()


@torch.no_grad()
def growth(net: Follower, x: torch.Tensor) -> torch.Tensor:
    """Marks summed and pixels above 1/2 after every round, and after half as many more; (n, 3 rounds)."""
    parts = []
    for part in x.split(250):
        pixels = part.float() / 255
        marks, found = torch.zeros_like(pixels), []
        for _ in range(net.rounds * 3 // 2):
            marks = net.round(pixels, marks).sigmoid()
            found += [marks.sum(dim=(1, 2, 3)), (marks > 0.5).sum(dim=(1, 2, 3)).float()]
        parts.append(torch.stack(found, dim=1))
    return torch.cat(parts).cpu()
