"""Embedded digits, balanced subsets, simulated annotators."""

import pytest
import torch
from scipy import stats

from ibtutor import data
from ibtutor.data import Split, annotator_distribution, simulated_annotators


def test_digits_are_split_once_and_share_no_image():
    train, test = data.digits("train"), data.digits("test")
    assert len(train.labels) == 1297
    assert len(test.labels) == 500
    everything = torch.cat([train.images, test.images]).flatten(1)
    assert len(everything.unique(dim=0)) == 1797
    assert data.fingerprint(*train) == data.fingerprint(*data.digits("train"))


def test_digits_are_the_scans_of_scikit_learn():
    from sklearn.datasets import load_digits

    raw = load_digits()
    split = data.digits("train")
    ours = (split.images[:, 0].double() * 16 / 255).round()
    theirs = torch.tensor(raw.images)
    match = (ours[:, None] == theirs[None]).flatten(2).all(2)
    assert bool((match.sum(1) == 1).all())
    assert torch.equal(split.labels, torch.tensor(raw.target)[match.int().argmax(1)])


def test_take_is_balanced_seeded_and_refuses_too_many():
    split = data.digits("train")
    part = split.take(100)
    assert part.labels.bincount().tolist() == [10] * 10
    assert torch.equal(part.images, split.take(100).images)
    assert not torch.equal(part.images, split.take(100, seed=1).images)
    assert sorted(split.take(103).labels.bincount().tolist()) == [10] * 7 + [11] * 3
    with pytest.raises(ValueError, match="count must lie in"):
        split.take(2000)
    with pytest.raises(ValueError, match="of class"):
        split.take(1297)
    few = Split(split.images[:4], torch.tensor([0, 0, 0, 1]))
    with pytest.raises(ValueError, match="need 2 of class 1, but there are 1"):
        few.take(4)


def test_fingerprints_see_values_shapes_and_types():
    x = torch.arange(6)
    prints = {data.fingerprint(t) for t in (x, x.view(2, 3), x.int(), x + 1)}
    assert len(prints) == 4


def test_votes_follow_the_stated_distribution():
    split = data.digits("test")
    p = annotator_distribution(*split)
    assert torch.allclose(p.sum(1), torch.ones(500, dtype=torch.float64))
    votes = 20_000
    counts = simulated_annotators(*split, votes=votes, seed=3)
    assert bool((counts.sum(1) == votes).all())
    # Pearson's statistic over all cells that are expected at least five times.
    expected = p * votes
    frequent = expected >= 5
    statistic = ((counts - expected).square() / expected)[frequent].sum()
    freedom = int(frequent.sum()) - 500
    assert stats.chi2.sf(float(statistic), freedom) > 1e-4


def test_votes_are_independent_given_the_image():
    """Two halves of the votes deviate from p(y|x) without correlation."""
    split = data.digits("train")
    p = annotator_distribution(*split)
    halves = [simulated_annotators(*split, votes=50, seed=s).double() / 50 - p for s in (1, 2)]
    scale = torch.sqrt(p * (1 - p) / 50).clamp_min(1e-12)
    a, b = (half / scale for half in halves)
    uncertain = (p > 0.02) & (p < 0.98)
    correlation = float((a * b)[uncertain].mean())
    assert abs(correlation) < 4 / float(uncertain.sum()) ** 0.5
    # Given the label alone they do correlate: the image decides who is confused.
    raw = [simulated_annotators(*split, votes=50, seed=s).double() / 50 for s in (1, 2)]
    wrong = [1 - votes.gather(1, split.labels[:, None])[:, 0] for votes in raw]
    assert float(torch.corrcoef(torch.stack(wrong))[0, 1]) > 0.5


def test_annotators_mostly_agree_and_confuse_look_alikes():
    split = data.digits("train")
    counts = simulated_annotators(*split)
    agree = (counts.argmax(1) == split.labels).double().mean()
    assert agree > 0.95
    p = annotator_distribution(*split)
    entropy = float(torch.special.entr(p).sum(1).mean())
    assert 0.12 < entropy < 0.19  # CIFAR-10H: 0.1545
    confusion = torch.stack([p[split.labels == k].mean(0) for k in range(10)])
    assert confusion[8, 1] > 3 * confusion[8, 0]  # an 8 looks like a 1 rather than a 0


def test_the_order_of_images_does_not_matter():
    split = data.digits("test")
    turned = Split(split.images.flip(0), split.labels.flip(0))
    assert torch.allclose(annotator_distribution(*split), annotator_distribution(*turned).flip(0))


def test_annotators_refuse_what_they_cannot_compare():
    images = torch.zeros(3, 1, 2, 2)
    with pytest.raises(ValueError, match="class 1 of 3 has none"):
        simulated_annotators(images, torch.tensor([0, 0, 2]))
    with pytest.raises(ValueError, match="like the images"):
        simulated_annotators(images, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="votes must be at least 1"):
        simulated_annotators(images, torch.tensor([0, 1, 2]), votes=0)
