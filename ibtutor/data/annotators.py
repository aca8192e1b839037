"""People who confuse similar images: embedded stand-in for human votes that disagree."""

from __future__ import annotations

import torch

# Chosen once on the embedded digits so that the mean H(Y|X) is close to CIFAR-10H's 0.15 nats.
_SHARPNESS = 11.0
_KNOWLEDGE = 2.2


def annotator_distribution(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What a simulated annotator answers, `p(Y|x)`: `(N, K)` float64, rows sum to one.

    An annotator compares an image with the mean image of each class and also half knows the
    truth: `p(y|x)` is the softmax of `-11 d(x, y) / mean d + 2.2 [y = label]`, where `d` is the
    squared distance to the mean of class `y`. Clear images get one answer, odd ones several, and
    the confusions are between classes that look alike. `images` is `(N, ...)`, `labels` `(N,)`
    with K = largest label + 1, every class present; ValueError otherwise.

    >>> images = torch.tensor([[0.0], [0.2], [1.0], [0.8]])
    >>> p = annotator_distribution(images, torch.tensor([0, 0, 1, 1]))
    >>> bool(p[1, 1] > p[0, 1])  # the image nearer to the other class is confused more often
    True
    """
    if labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(
            f"labels must be ({len(images)},) like the images, got {tuple(labels.shape)}"
        )
    flat = images.reshape(len(images), -1).double()
    classes = int(labels.max()) + 1
    sizes = torch.bincount(labels, minlength=classes)
    if bool((sizes == 0).any()):
        empty = int((sizes == 0).nonzero()[0])
        raise ValueError(f"every class must have an image, class {empty} of {classes} has none")
    sums = torch.zeros(classes, flat.shape[1], dtype=flat.dtype).index_add_(0, labels, flat)
    distance = torch.cdist(flat, sums / sizes[:, None]).square()
    truth = torch.nn.functional.one_hot(labels, classes)
    return torch.softmax(_KNOWLEDGE * truth - _SHARPNESS * distance / distance.mean(), dim=1)


def simulated_annotators(
    images: torch.Tensor, labels: torch.Tensor, votes: int = 50, seed: int = 0
) -> torch.Tensor:
    """Votes of simulated annotators who confuse similar images: counts `(N, K)`, int64.

    Each image gets `votes` answers, drawn independently from `annotator_distribution`, so votes
    are independent given the image and every row sums to `votes`. Use the counts where the book
    needs contradicting labels without CIFAR-10H. Raises ValueError if `votes` is below one.

    >>> from ibtutor.data import digits
    >>> counts = simulated_annotators(*digits("test"), votes=50)
    >>> tuple(counts.shape), counts.sum(dim=1).unique().tolist()
    ((500, 10), [50])
    """
    if votes < 1:
        raise ValueError(f"votes must be at least 1, got {votes}")
    p = annotator_distribution(images, labels)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(p, votes, replacement=True, generator=generator)
    return torch.zeros(p.shape, dtype=torch.int64).scatter_add_(1, drawn, torch.ones_like(drawn))
