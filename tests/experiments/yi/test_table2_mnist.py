from dataclasses import fields, replace

import pytest
import torch

from ibtutor import data, experiments, models, train
from ibtutor.experiments.yi import _losses, _shared_batches, _stacked, _training
from ibtutor.experiments.yi import table2_mnist as table2
from ibtutor.info import mutual_information
from ibtutor.losses import mutual_information_learning

TINY = replace(
    table2.SMOKE,
    train_size=200,
    test_size=100,
    seeds=(0, 1),
    epochs=4,
    rates=(1e-3, 1e-2),
    other_rates=(1e-2,),
    holdout=50,
    measure_every=1,
)


@pytest.fixture(scope="module")
def tiny():
    return table2.run(TINY, progress=False)


def test_a_tiny_run_has_every_arm(tiny):
    arms = {}
    for row in tiny.rows:
        arms.setdefault(row["arm"], []).append((row["loss"], row["seed"]))
    five = list(TINY.losses)
    both = ("ce", "mil")
    assert arms["tuning"] == [(n, 100) for n in five for _ in range(2 if n in both else 1)]
    assert arms["paper's rate"] == [(loss, s) for loss in [*five, "brier"] for s in (0, 1)]
    assert arms["own rate"] == [(loss, s) for loss in five for s in (0, 1)]
    assert tiny.arrays["mlp_mil"].shape == (2, 4, len(_training.QUANTITIES))
    assert set(tiny.summary["rates"]["mlp"].values()) <= set(TINY.rates)
    assert tiny.summary["measured_epochs"] == {"mlp": [1, 2, 3, 4]}
    assert tiny.summary["full"] == {"mlp": False}
    for claim in table2.CLAIMS:
        claim.verdict(tiny)
    assert "points" in table2.finding(tiny)


def test_the_rate_of_a_loss_is_the_best_on_held_out_images(tiny):
    for loss, rate in tiny.summary["rates"]["mlp"].items():
        rows = [r for r in tiny.rows if r["arm"] == "tuning" and r["loss"] == loss]
        assert max(r["accuracy"] for r in rows) == next(
            r["accuracy"] for r in rows if r["lr"] == rate
        )
        own = [r for r in tiny.rows if r["arm"] == "own rate" and r["loss"] == loss]
        assert {r["lr"] for r in own} == {rate}


def test_finished_parts_are_read_back(tiny, tmp_path, monkeypatch):
    table2.run(TINY, progress=False, resume=tmp_path)

    def never(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(_training, "train_all", never)
    again = table2.run(TINY, progress=False, resume=tmp_path)
    assert again.rows == tiny.rows
    assert again.summary == tiny.summary


def test_what_is_missing_is_left_out(tiny):
    names = table2.parts(TINY)
    assert names[:4] == ("seed0-mlp-paper", "seed1-mlp-paper", "mlp-own-ce", "mlp-own-mil")
    assert names[4:] == ("mlp-own-lsr", "mlp-own-cp", "mlp-own-lc")
    done = {name: table2.run_part(TINY, name, progress=False) for name in names[1:3]}
    found = table2.assemble(TINY, done)
    assert found.rows == [
        row
        for row in tiny.rows
        if (row["arm"] == "paper's rate" and row["seed"] == 1)
        or (row["arm"] != "paper's rate" and row["loss"] == "ce")
    ]
    assert found.summary["rates"]["mlp"] == {"ce": tiny.summary["rates"]["mlp"]["ce"]}
    assert found.arrays["mlp_mil"].tolist() == tiny.arrays["mlp_mil"][1:].tolist()
    assert table2.finding(found) == "Too few seeds to tell."
    nothing = table2.assemble(TINY, {})
    for result in (found, nothing):
        for claim in table2.CLAIMS:
            claim.verdict(result)


def task(size=300):
    both = data.digits("train").take(size), data.digits("test").take(100)
    return train.Task(*((split.images, split.labels) for split in both), num_classes=10)


SETTINGS = train.Settings(
    epochs=3, batch_size=64, lr=0.01, momentum=0.9, schedule="constant", measure_every=1
)


def network():
    return models.MLP(64, (16,), 10)


@pytest.mark.parametrize("size", [300, 321])  # 321 leave a batch of one, which is left out
def test_shared_batches_train_as_one_by_one(size):
    runs = [
        train.Run(0.0, 3),
        train.Run(0.0, 3, lr=0.05),
        train.Run(5.0, 3, loss="mutual_information_learning"),
        train.Run(0.5, 3, loss=_losses.brier),
    ]
    options = {"measure": _training.measure, "progress": False}
    shared = _shared_batches.fit(network, task(size), runs, SETTINGS, **options)
    alone = train.fit(network, task(size), runs, SETTINGS, **options)
    assert [_training.batches(n, 64) for n in (1, 63, 64, 65, 66, size)] == [1, 1, 1, 1, 2, 5]
    for got, wanted in zip(shared, alone, strict=True):
        assert [entry["epoch"] for entry in got] == [1, 2, 3]
        for name in ("ce", "train_ce", "information"):
            assert got[-1][name] == pytest.approx(wanted.history[-1][name], rel=1e-4)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_runs_side_by_side_train_as_one_by_one(model, tmp_path):
    """What a card does: other seeds, rates and losses in one loop, convolutions as products."""
    digits, side = task(150), 28 if model == "cnn" else 8
    if model == "cnn":
        larger = [
            (x.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., 2:-2, 2:-2], y)
            for x, y in (digits.train, digits.test)
        ]
        digits = train.Task(*larger, num_classes=10)
    runs = [
        train.Run(0.0, 3),
        train.Run(0.0, 4, lr=0.05),
        train.Run(5.0, 3, loss="mutual_information_learning", lr=0.02),
        train.Run(0.5, 3, loss=_losses.brier),
        train.Run(0.1, 3, loss="label_correction"),
    ]
    settings = replace(SETTINGS, measure_every=3)
    stacked, again = (
        _stacked.fit(
            _training.network(model, side, unfolded=True),
            digits,
            runs,
            settings,
            _training.measure,
            resume=tmp_path,
            progress=False,
        )
        for _ in range(2)
    )
    assert again == stacked  # read back
    make = _training.network(model, side)
    alone = train.fit(make, digits, runs, settings, measure=_training.measure, progress=False)
    for got, wanted in zip(stacked, alone, strict=True):
        assert [entry["epoch"] for entry in got] == [3]
        for name in ("ce", "train_ce", "information"):
            assert got[-1][name] == pytest.approx(wanted.history[-1][name], rel=1e-4)


def test_runs_side_by_side_are_for_cards_in_float32(monkeypatch):
    assert not _stacked.chosen("cpu", "float32")
    monkeypatch.setattr(train, "resolve_device", torch.device)
    assert _stacked.chosen("cuda", "float32")
    assert not _stacked.chosen("cuda", "bfloat16")


def test_shared_batches_go_on_where_they_were_killed(tmp_path, monkeypatch):
    runs = [train.Run(0.0, 0), train.Run(0.1, 0, loss="confidence_penalty")]
    whole = _shared_batches.fit(network, task(), runs, SETTINGS, _training.measure, progress=False)

    class Killed(Exception):
        pass

    def dies(outputs, run, epoch):
        if epoch == 3:
            raise Killed
        return _training.measure(outputs)

    monkeypatch.setattr(_shared_batches, "SAVE_SECONDS", 0.0)
    with pytest.raises(Killed):
        _shared_batches.fit(network, task(), runs, SETTINGS, dies, resume=tmp_path, progress=False)
    seen = []

    def counts(outputs, run, epoch):
        seen.append(epoch)
        return _training.measure(outputs)

    again = _shared_batches.fit(
        network, task(), runs, SETTINGS, counts, resume=tmp_path, progress=False
    )
    assert seen == [3, 3]
    assert again == whole
    with pytest.raises(train.CheckpointError, match=r"another settings\.momentum"):
        _shared_batches.fit(
            network,
            task(),
            runs,
            replace(SETTINGS, momentum=0.5),
            counts,
            resume=tmp_path,
            progress=False,
        )


def test_a_run_that_diverges_leaves_the_others_alone():
    runs = [train.Run(0.0, 0), train.Run(0.0, 0, lr=1e30)]
    both = _shared_batches.fit(network, task(), runs, SETTINGS, _training.measure, progress=False)
    alone = _shared_batches.fit(
        network, task(), runs[:1], SETTINGS, _training.measure, progress=False
    )
    assert both[1][-1]["ce"] != both[1][-1]["ce"]  # NaN
    assert both[0][-1]["ce"] == pytest.approx(alone[0][-1]["ce"], rel=1e-4)


@pytest.mark.parametrize("stacked", [False, True])
def test_a_cnn_that_diverges_ends_with_what_it_became(stacked, monkeypatch):
    """Its last measurement is not one from before, and its curve is as long as any other."""
    generator = torch.Generator().manual_seed(0)
    split = torch.randint(256, (60, 1, 28, 28), generator=generator).byte(), torch.arange(60) % 10
    calls = []

    def breaks(logits, labels, strength):
        calls.append(1)
        return _losses.brier(logits, labels, 1.0) * (float("nan") if len(calls) > 2 else 1.0)

    monkeypatch.setattr(_stacked, "chosen", lambda *about: stacked)
    ((first, *rest),) = _training.train_all(
        "cnn",
        train.Task(split, split, num_classes=10),
        [train.Run(0.0, 0, loss=breaks)],
        replace(SETTINGS, epochs=6, measure_every=2),  # one batch an epoch
        device="cpu",
        resume=None,
        progress=False,
    )
    assert [entry["epoch"] for entry in (first, *rest)] == [2, 4, 6]
    assert first["ce"] > 0
    assert all(entry["ce"] != entry["ce"] and entry["accuracy"] == 0.1 for entry in rest)  # NaN
    row = table2._row("cnn", table2.TUNING, "ce", 0.1, 0, [first, *rest])
    assert (row["accuracy"], row["ce"], row["rank"]) == (0.1, None, None)
    assert row["curve"].shape == (3, len(_training.QUANTITIES))


def test_runs_of_two_seeds_cannot_share_batches():
    runs = [train.Run(0.0, 0), train.Run(0.0, 1)]
    with pytest.raises(ValueError, match="must have one seed"):
        _shared_batches.fit(network, task(), runs, SETTINGS, _training.measure, progress=False)


def test_the_second_term_is_a_brier_score_on_average_over_batches():
    """Random batches of one population: E KL(histogram || mean prediction) = K/(2B) Brier."""
    generator = torch.Generator().manual_seed(0)
    k, count, size = 4, 20_000, 400
    probs = torch.randn(count, k, generator=generator, dtype=torch.float64).softmax(1)
    labels = torch.multinomial(probs, 1, generator=generator)[:, 0]  # calibrated: means agree
    share = torch.bincount(labels, minlength=k) / count
    off = float((share * (share / probs.mean(0)).log()).sum())  # KL of the whole population: tiny
    # By class, since shares differ a little: sum_k Var(y_k - p_k) / (2 B share_k).
    residual = torch.nn.functional.one_hot(labels, k) - probs
    expected = off + float((residual.square().mean(0) / share).sum()) / (2 * size)
    found = []
    for _ in range(4000):
        rows = torch.randint(0, count, (size,), generator=generator)
        histogram = torch.bincount(labels[rows], minlength=k) / size
        term = mutual_information_learning(probs[rows].log(), labels[rows], 1.0)
        term = term - torch.nn.functional.nll_loss(probs[rows].log(), labels[rows])
        found.append(float(term + torch.special.xlogy(histogram, histogram).sum()))
    found = torch.tensor(found)
    error = float(found.std() / len(found) ** 0.5)
    assert error < 0.02 * expected
    assert abs(float(found.mean()) - expected) < 5 * error + 0.01 * expected


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="loss must be one of ce, lsr"):
        _losses.arm("mse", eps=0.1, lam=50.0, batch_size=512)
    with pytest.raises(ValueError, match="dataset must be mnist or digits"):
        table2.run(replace(TINY, dataset="fashion"), progress=False)
    with pytest.raises(ValueError, match="model must be mlp or cnn"):
        _training.network("vgg")
    with pytest.raises(ValueError, match="images of 28 by 28 pixels, got 8 by 8"):
        _training.network("cnn", 8)


def test_the_paper_s_networks():
    sizes = {"mlp": 784 * 64 + 64 + 64 * 64 + 64 + 650, "cnn": 260 + 5020 + 16050 + 510}
    for model, count in sizes.items():
        built = _training.network(model)()
        assert built(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
        assert sum(p.numel() for p in built.parameters()) == count


def test_the_two_terms_are_those_of_the_loss():
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(200, 10, generator=generator)
    labels = torch.randint(0, 9, (200,), generator=generator)  # the last class is missing
    found = _training.measure(train.Outputs(logits, labels, logits, labels))
    ce, both = (
        float(mutual_information_learning(logits.double(), labels, lam)) for lam in (0.0, 1.0)
    )
    assert found["ce"] == found["train_ce"] == pytest.approx(ce, abs=1e-12)
    assert found["label_ce"] == pytest.approx(both - ce, abs=1e-12)


def test_all_changes_that_are_not_of_size_are_explained():
    paper = table2.Config()
    for profile in ("smoke", "quick"):
        chosen = experiments.profile_config("yi_table2_mnist", profile)
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(paper, field.name)
        }
        assert changed - {"train_size", "test_size"} <= set(table2.DIFFERENCES)


def test_the_learned_information_is_never_more_than_there_is():
    """CE(shares, mean prediction) - CE <= H(Y) - H(Y|X): the divergence is jointly convex."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 6, (500,), generator=generator)  # six inputs, each many times
    y = (x + torch.randint(0, 3, (500,), generator=generator)) % 4
    joint = torch.zeros(6, 4, dtype=torch.float64)
    joint.index_put_((x, y), torch.tensor(1 / 500).double(), accumulate=True)
    truth = float(mutual_information(joint))
    for scale in (0.1, 1.0, 10.0):
        for _ in range(50):
            logits = (scale * torch.randn(6, 4, generator=generator))[x]
            found = _training.measure(train.Outputs(logits, y, logits, y))
            assert found["information"] <= truth + 1e-9
    best = (joint / joint.sum(1, keepdim=True)).clamp(min=1e-30).log()[x]
    found = _training.measure(train.Outputs(best, y, best, y))
    assert found["information"] == pytest.approx(truth, abs=1e-9)
