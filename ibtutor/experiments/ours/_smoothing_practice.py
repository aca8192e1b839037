"""Train one network on soft targets of equal rate, fold by fold, and judge it on fresh people.

Every network is read in two ways: as it stands (symbols named after classes) and decoded,
p(y|x) = sum_t q(t|x) p(y|t) with the training inputs' p(y|t). The null control of a kind of
target is the network trained on the plain votes, its outputs changed to that kind afterwards.
"""

import torch
from torch import Tensor

from ibtutor import data, info, models, train
from ibtutor.experiments.ours._smoothing_theory import encoders

KINDS = ("none", "ls", "channel", "agreement", "bottleneck")


def fold_indices(count: int, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    """Training and held-out inputs of fold `seed mod folds`, from one fixed shuffle."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    held = torch.zeros(count, dtype=torch.bool)
    held[order[seed % folds :: folds]] = True
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def soft_targets(w: Tensor, p_x: Tensor, rate: float, restarts: int) -> dict[str, Tensor]:
    """Targets of each kind for the training inputs, their symbols named after classes."""
    from scipy.optimize import linear_sum_assignment

    made = {"none": w} | encoders(w, p_x, rate, restarts)
    named = {}
    for kind in KINDS:
        joint = (made[kind] * p_x[:, None]).T @ w
        _, order = linear_sum_assignment(-joint.T.numpy())
        named[kind] = made[kind][:, torch.from_numpy(order)]
    return named


def measures(predicted: Tensor, votes: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy against the labels, nats against people's votes, calibration error, and the
    information plane of T drawn from the predictions on these images."""
    p = predicted.clamp_min(1e-12)
    p = p / p.sum(1, keepdim=True)
    plane = info.information_plane(p, p_y_given_x=votes)
    return {
        "i_xt": float(plane.i_xt),
        "i_ty": float(plane.i_ty),
        "accuracy": (p.argmax(1) == labels).double().mean().item(),
        "nll_people": -(votes * p.log()).sum(1).mean().item(),
        "ece": info.expected_calibration_error(p, labels),
    }


def decode(outputs: Tensor, targets: Tensor, w: Tensor, p_x: Tensor) -> Tensor:
    """p(y|x) of held-out inputs through the training inputs' p(y|t)."""
    joint = (targets * p_x[:, None]).T @ w
    return outputs @ (joint / joint.sum(1, keepdim=True).clamp_min(1e-300))


def changed_afterwards(plain: Tensor, w: Tensor, p_x: Tensor, targets: Tensor) -> Tensor:
    """Outputs of the plain network sent through the map from votes to targets of a kind.

    The map is the geometric or arithmetic one that fits the training targets best: both are
    tables of K x K numbers, fitted to pairs of votes and targets by least squares on the
    probabilities (arithmetic) and on the log-odds (geometric); the better fit is used.
    """
    root = p_x.sqrt()[:, None]
    channel = torch.linalg.lstsq(w * root, targets * root).solution
    scores = targets.clamp_min(1e-6).log()
    scores = torch.linalg.lstsq(w * root, (scores - scores.mean(1, keepdim=True)) * root).solution
    options = []
    for how in (lambda v: (v @ channel).clamp_min(1e-12), lambda v: torch.softmax(v @ scores, 1)):
        fitted = how(w)
        fitted = fitted / fitted.sum(1, keepdim=True)
        loss = -(p_x[:, None] * targets * fitted.clamp_min(1e-12).log()).sum()
        outputs = how(plain)
        options.append((loss.item(), outputs / outputs.sum(1, keepdim=True)))
    return min(options, key=lambda option: option[0])[1]


def make_network(config, channels: int):
    """A builder of the small network that the config names."""
    if config.network == "small_cnn":
        return lambda: models.SmallCNN(channels, 10, width=config.width)
    raise ValueError(f"network must be small_cnn or None, got {config.network!r}")


def run_fold(
    images: Tensor, labels: Tensor, votes: Tensor, rate: float, seed: int, config, device, resume
) -> list[dict]:
    """Rows of one fold: every kind, trained and changed afterwards, both readings."""
    inside, outside = fold_indices(len(images), config.folds, seed)
    p_x = votes[inside].sum(1) / votes[inside].sum()
    w = votes[inside] / votes[inside].sum(1, keepdim=True)
    fresh = votes[outside] / votes[outside].sum(1, keepdim=True)
    named = soft_targets(w, p_x, rate, config.channel_restarts)
    pixels = images[inside].double() / 255
    mean, std = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).tolist()
    settings = train.Settings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adam",
        lr=config.learning_rate,
        schedule="cosine",
        measure_every=config.epochs,
    )
    outputs = {}
    for kind in KINDS:
        task = train.Task(
            (images[inside], labels[inside]),
            (images[outside], labels[outside]),
            targets=named[kind].float(),
            mean=mean,
            std=std,
            augment=data.random_crop_flip if config.augment else None,
            num_classes=votes.shape[1],
        )
        build = make_network(config, images.shape[1])
        one = train.Run(0.0, seed=seed, tag=f"{kind}_{rate:.4f}")
        done = train.fit(build, task, [one], settings, device=device, resume=resume, progress=False)
        outputs[kind] = done[0].test_probs
    rows = []
    for kind in KINDS:
        after = changed_afterwards(outputs["none"], w, p_x, named[kind])
        for how, made in (("trained", outputs[kind]), ("afterwards", after)):
            if kind == "none" and how == "afterwards":
                continue
            for reading in ("plain", "decoded"):
                seen = made if reading == "plain" else decode(made, named[kind], w, p_x)
                row = {"part": "practice", "method": kind, "how": how, "reading": reading}
                row |= {"seed": seed, "rate": rate}
                rows.append(row | measures(seen, fresh, labels[outside]))
    return rows
