"""Blahut-Arimoto iterations for many encoders at once, accelerated by Anderson mixing.

Every encoder here is geometric: q(t|x) = softmax_t( sum_y w_x(y) S[t, y] ). One Blahut-Arimoto
step maps the scores S to log q(t) + log p(y|t) / beta, so the state is a `(T, K)` table however
many inputs there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_TINY = 1e-300  # log(_TINY) is finite: a class without mass gets a score of -690 / beta
_CHUNK = 2**21  # numbers held at once while the encoders are evaluated (16 MB)
_MEMORY = 10  # differences kept for the mixing
_LARGEST = 1e4  # beta times a score; a plain step stays below 1,500, and rounding below 1e-11


@dataclass
class Points:
    """What one evaluation of `B` encoders gives; the joint has shape `(B, T, K)`."""

    joint: torch.Tensor
    i_xt: torch.Tensor
    i_ty: torch.Tensor
    unfinished: torch.Tensor | None = None  # True where the iterations were cut off

    def objective(self, beta: torch.Tensor) -> torch.Tensor:
        return self.i_ty - beta * self.i_xt


def evaluate(scores: torch.Tensor, w: torch.Tensor, p: torch.Tensor, hard: bool) -> Points:
    """Joint law of T and Y and the two informations of the encoders with these scores.

    Args:
        scores: `(B, T, K)`; w: `(n, K)`; p: `(n,)`; hard: take the best symbol, not softmax.
    """
    batch, symbols, classes = scores.shape
    flat = scores.reshape(-1, classes)
    joint = torch.zeros_like(flat)
    log_z = torch.zeros(batch, dtype=flat.dtype)
    for rows in range(0, len(w), step := max(1, _CHUNK // len(flat))):
        part, weight = w[rows : rows + step], p[rows : rows + step]
        q = (flat @ part.T).view(batch, symbols, -1)
        if hard:
            best = q.argmax(1, keepdim=True)
            q = torch.zeros_like(q).scatter_(1, best, weight.expand_as(best))
        else:
            top = q.amax(1, keepdim=True)
            total = q.sub_(top).exp_().sum(1)
            log_z += (top[:, 0] + total.log()) @ weight
            q *= (weight / total)[:, None]
        joint += q.view(len(flat), -1) @ part
    joint = joint.view_as(scores)
    q_t, p_y = joint.sum(2), joint.sum(1)
    h_t = torch.special.entr(q_t).sum(1)
    h_y = torch.special.entr(p_y).sum(1)
    i_ty = h_t + h_y - torch.special.entr(joint).sum((1, 2))
    # sum_x p(x) sum_t q log q = <joint, scores> - E log Z: no second pass over the encoders.
    i_xt = h_t if hard else h_t + (joint * scores).sum((1, 2)) - log_z
    return Points(joint, i_xt, i_ty)


def update(joint: torch.Tensor, beta: torch.Tensor, hard: bool) -> torch.Tensor:
    """The Blahut-Arimoto step: scores from the joint law of T and Y."""
    q_t = joint.sum(2, keepdim=True).clamp_min(_TINY)
    log_r = (joint / q_t).clamp_min(_TINY).log()
    if hard:  # beta multiplies H(T): the deterministic bottleneck; zero: no cost at all
        return log_r + beta[:, None, None] * q_t.log()
    scores = q_t.log() + log_r / beta[:, None, None]
    return scores - scores.mean(1, keepdim=True)  # a constant per class changes nothing


def iterate(
    joint: torch.Tensor,
    beta: torch.Tensor,
    w: torch.Tensor,
    p: torch.Tensor,
    *,
    hard: bool,
    tol: float,
    limit: int,
) -> tuple[torch.Tensor, Points]:
    """Run every start `joint` `(B, T, K)` to its own stationary point; active ones only.

    Returns:
        The scores `(B, T, K)` and the points they reach.
    """
    state = _State(update(joint, beta, hard), tol)
    final = torch.empty_like(state.scores)
    points = Points(torch.empty_like(final), torch.empty_like(beta), torch.empty_like(beta))
    points.unfinished = torch.zeros(len(beta), dtype=torch.bool)
    active = torch.arange(len(beta))
    for count in range(1, limit + 1):
        now = evaluate(state.scores, w, p, hard)
        done = state.advance(now, beta, hard)
        if count == limit:
            points.unfinished[active] = ~done
            done = torch.ones_like(done)
        if done.any():
            where = active[done]
            final[where] = state.kept_scores[done]
            points.joint[where], points.i_xt[where] = state.kept.joint[done], state.kept.i_xt[done]
            points.i_ty[where] = state.kept.i_ty[done]
            if done.all():
                break
            active, beta = active[~done], beta[~done]
            state.select(~done)
    return final, points


class _State:
    """Scores on the way, the last accepted point, and the differences kept for the mixing."""

    def __init__(self, scores: torch.Tensor, tol: float):
        size = (len(scores), _MEMORY, scores[0].numel())
        self.tol, self.scores, self.count = tol, scores, 0
        self.d_image = scores.new_zeros(size)
        self.d_residual = scores.new_zeros(size)
        self.kept: Points | None = None
        self.image: torch.Tensor | None = None
        self.objective = scores.new_full(size[:1], -torch.inf)
        self.quiet = torch.zeros(len(scores), dtype=torch.int64)

    def advance(self, now: Points, beta: torch.Tensor, hard: bool) -> torch.Tensor:
        """Accept or reject the evaluated point, mix the next one, say which have converged."""
        image = update(now.joint, beta, hard)
        residual = image - self.scores
        objective = now.objective(beta)
        gain = objective - self.objective
        worse = gain < -1e-13
        self._remember(image, residual)
        if worse.any():  # go back to the last good point and on from there by a plain step
            now = Points(*(_where(worse, a, b) for a, b in _pairs(self.kept, now)))
            self.scores = _where(worse, self.kept_scores, self.scores)
            image = _where(worse, self.image, image)
            residual = _where(worse, self.residual, residual)
            objective = torch.where(worse, self.objective, objective)
            # The history has misled: forget it.
            self.d_image[worse] = 0.0
            self.d_residual[worse] = 0.0
        self.kept, self.kept_scores, self.objective = now, self.scores, objective
        self.image, self.residual = image, residual
        if hard:
            self.scores = image
            return gain <= 0
        still = (beta * _spread(now.joint, residual) < self.tol) & (gain.abs() < self.tol)
        self.quiet = (self.quiet + 1) * still
        self.scores = self._mix(now.joint, beta)
        return self.quiet >= 2

    def _remember(self, image: torch.Tensor, residual: torch.Tensor) -> None:
        if self.image is not None:
            slot = self.count % _MEMORY
            self.d_image[:, slot] = (image - self.image).flatten(1)
            self.d_residual[:, slot] = (residual - self.residual).flatten(1)
            self.count += 1

    def _mix(self, joint: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        if self.count < 2:
            return self.image
        weight = joint.reshape(len(joint), 1, -1).sqrt()
        basis = self.d_residual * weight
        target = (self.residual.flatten(1)[:, None] * weight).transpose(1, 2)
        gram = basis @ basis.transpose(1, 2)
        diagonal = gram.diagonal(dim1=1, dim2=2)
        ridge = 1e-12 * diagonal.amax(1, keepdim=True) + _TINY
        gram = gram + torch.diag_embed(ridge + (diagonal == 0))
        gamma = torch.linalg.solve(gram, basis @ target)
        step = (gamma.transpose(1, 2) @ self.d_image).view_as(self.image)
        mixed = self.image - step
        # Scores far out would lose the objective, a difference of them, to rounding.
        return _where(beta * mixed.abs().amax((1, 2)) <= _LARGEST, mixed, self.image)

    def select(self, keep: torch.Tensor) -> None:
        for name in (
            "scores",
            "kept_scores",
            "image",
            "residual",
            "d_image",
            "d_residual",
            "objective",
            "quiet",
        ):
            setattr(self, name, getattr(self, name)[keep])
        self.kept = Points(self.kept.joint[keep], self.kept.i_xt[keep], self.kept.i_ty[keep])


def _spread(joint: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """Variance of the residual under the joint law: twice the gain of a plain step over beta."""
    p_y = joint.sum(1, keepdim=True).clamp_min(_TINY)
    centered = residual - (joint * residual).sum(1, keepdim=True) / p_y
    return (joint * centered**2).sum((1, 2))


def _where(mask: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b)


def _pairs(a: Points, b: Points):
    return zip((a.joint, a.i_xt, a.i_ty), (b.joint, b.i_xt, b.i_ty), strict=True)
