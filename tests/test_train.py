"""The loop: same seeds, same numbers; killed runs go on; failures are told."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ibtutor import data, losses, models, train
from ibtutor._training.loop import evaluated_at_once
from ibtutor.train import Run, Settings, Task

TRAIN, TEST = data.digits("train").take(200), data.digits("test").take(100)
TASK = Task(TRAIN, TEST, mean=(0.305,), std=(0.376,))
FAST = Settings(epochs=3, batch_size=50, optimizer="adam", lr=3e-3, schedule="cosine")
build = partial(models.MLP, 64, (16,), 10)
build_cnn = partial(models.SmallCNN, 1, 10, 4)


def fit(runs, settings=FAST, task=TASK, make=build, **options):
    return train.fit(make, task, runs, settings, progress=False, **options)


def same(a, b):
    return (
        torch.equal(a.train_logits, b.train_logits)
        and torch.equal(a.test_logits, b.test_logits)
        and all(torch.equal(a.state[k], b.state[k]) for k in a.state)
        and [e["loss"] for e in a.history] == [e["loss"] for e in b.history]
    )


# --- the loop does what a plain loop does ----------------------------------------------------


def test_one_run_is_what_a_plain_loop_gives():
    from ibtutor._training.seeds import derived_seed, generator

    settings = Settings(
        epochs=3, batch_size=64, lr=0.05, nesterov=True, weight_decay=1e-3, milestones=(2,)
    )
    done = fit([Run(0.1, seed=7)], settings)[0]

    torch.manual_seed(derived_seed(7, "init"))
    model = build()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3
    )
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2], 0.1)
    x = (TRAIN.images.float() / 255 - 0.305) / 0.376
    for epoch in range(3):
        for rows in torch.randperm(200, generator=generator(7, "order", epoch)).split(64):
            loss = losses.label_smoothing(model(x[rows]), TRAIN.labels[rows], 0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    expected = model((TEST.images.float() / 255 - 0.305) / 0.376)
    assert torch.allclose(done.test_logits, expected.detach(), atol=1e-5)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_rates_are_those_of_torch(schedule):
    settings = Settings(epochs=12, lr=0.2, schedule=schedule, milestones=(4, 8), final_lr=0.01)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.2)
    theirs = {
        "step": torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 8]),
        "cosine": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12, eta_min=0.01),
    }[schedule]
    for epoch in range(13):
        ours = train.learning_rate(settings, epoch)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        theirs.step()


def test_plateau_counts_as_torch_does():
    settings = Settings(epochs=40, lr=1.0, schedule="plateau", decay=0.8, patience=3)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.8, patience=3)
    generator = torch.Generator().manual_seed(0)
    past = []
    for loss in (1 + torch.rand(60, generator=generator)).tolist():
        past.append(loss)
        theirs.step(loss)
        ours = train.learning_rate(settings, len(past), past)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours < 0.3


def test_a_plateau_ends_training_early(tmp_path):
    calls = []

    def counted(outputs, run, epoch):
        calls.append(epoch)
        return {"measured": True}

    settings = Settings(
        epochs=60, lr=1e-9, schedule="plateau", decay=0.1, patience=1, stop_lr=1e-10
    )
    done = fit([Run()], replace(settings, measure_every=100), resume=tmp_path, measure=counted)[0]
    assert len(done.history) < 60
    assert "measured" in done.history[-1]  # the last epoch always is
    calls.clear()
    again = fit([Run()], replace(settings, measure_every=100), resume=tmp_path, measure=counted)[0]
    assert same(again, done)
    assert calls == []  # a finished run is read back


def test_a_plateau_does_not_end_while_the_rate_still_rises():
    settings = Settings(
        epochs=4, lr=1e-3, schedule="plateau", warmup_epochs=2, stop_lr=1e-5, optimizer="adam"
    )
    (done,) = fit([Run()], settings)
    assert len(done.history) == 4


# --- many runs at once -----------------------------------------------------------------------


def test_stacked_runs_are_the_runs_one_by_one():
    runs = [Run(a, s) for a in (0.0, 0.3) for s in (0, 1)]
    for task in (TASK, replace(TASK, augment=partial(data.random_crop_flip, pad=1))):
        one = fit(runs, replace(FAST, stacked=False), task)
        many = fit(runs, replace(FAST, stacked=True), task)
        for a, b in zip(one, many, strict=True):
            assert torch.allclose(a.test_logits, b.test_logits, atol=1e-4)
            assert a.run == b.run
            assert a.history[-1]["loss"] == pytest.approx(b.history[-1]["loss"], abs=1e-5)


def test_stacked_batch_norm_and_mixed_losses_agree_too():
    make = partial(models.MLP, 64, (16,), 10, batch_norm=True)
    runs = [Run(0.1), Run(0.3, loss="confidence_penalty"), Run(0.0, weight_decay=0.1)]
    settings = replace(FAST, optimizer="sgd", lr=0.05)  # Adam would blow up rounding errors
    one = fit(runs, replace(settings, stacked=False), make=make)
    many = fit(runs, replace(settings, stacked=True), make=make)
    for a, b in zip(one, many, strict=True):
        assert torch.allclose(a.test_logits, b.test_logits, atol=1e-3)
    assert "body.2.running_mean" in many[0].state
    loaded = many[1].load(make())
    again = train.predict(loaded, TEST.images, mean=TASK.mean, std=TASK.std, features=True)
    assert torch.allclose(again.logits, many[1].test_logits, atol=1e-4)
    assert again.features.shape == (100, 16)


def test_small_models_without_convolutions_are_stacked_by_themselves():
    from ibtutor._training.replicas import groups

    runs = [Run(a) for a in (0.0, 0.1, 0.2)]
    assert [len(g) for g in groups(build, runs, FAST, None)] == [3]
    assert [len(g) for g in groups(build_cnn, runs, FAST, None)] == [1, 1, 1]
    wide = partial(models.MLP, 64, (2048,), 10)
    assert [len(g) for g in groups(wide, runs, FAST, None)] == [1, 1, 1]
    decayed = [*runs, Run(0.0, weight_decay=0.1)]
    assert [len(g) for g in groups(build, decayed, FAST, None)] == [3, 1]
    with pytest.raises(ValueError, match="stacked=True needs"):
        list(groups(build, runs, replace(FAST, stacked=True), lambda *_: None))


def test_order_of_results_is_that_of_the_runs():
    runs = [Run(0.2, 1), Run(0.0, 0, weight_decay=0.1), Run(0.1, 0)]
    assert [done.run for done in fit(runs)] == runs


def test_paired_seeds_start_alike():
    instant = replace(FAST, epochs=1, lr=0.0)
    a, b, c = fit([Run(0.0, 3), Run(0.5, 3), Run(0.0, 4)], instant)
    assert torch.equal(a.test_logits, b.test_logits)
    assert not torch.equal(a.test_logits, c.test_logits)


# --- losses, targets, hooks ------------------------------------------------------------------


def test_soft_targets_replace_labels():
    alpha = 0.4
    targets = (1 - alpha) * F.one_hot(TRAIN.labels, 10) + alpha / 10
    soft = fit([Run(0.0)], task=replace(TASK, targets=targets))[0]
    hard = fit([Run(alpha)])[0]
    assert torch.allclose(soft.test_logits, hard.test_logits, atol=1e-4)
    both = fit([Run(0.0), Run(0.1)], task=replace(TASK, targets=targets))
    assert torch.allclose(both[0].test_logits, soft.test_logits, atol=1e-4)


def test_an_observer_gets_the_model_when_it_is_due_and_may_change_it():
    seen = []

    def observe(model, run, epoch):
        seen.append((run.seed, epoch))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return {"zeroed": True}

    settings = replace(FAST, epochs=3, measure_every=2)
    done = fit([Run(0.0, seed=s) for s in (0, 1)], settings, observe=observe)
    assert seen == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert [entry.get("zeroed") for entry in done[0].history] == [None, True, True]
    assert (done[0].test_logits == 0).all()


def test_losses_by_name_by_function_and_by_objective_agree():
    by_name = fit([Run(0.3, loss="confidence_penalty")])[0]
    by_function = fit([Run(0.3, loss=losses.confidence_penalty)])[0]

    def objective(model, inputs, targets, run):
        return losses.confidence_penalty(model(inputs), targets, run.strength)

    by_objective = fit([Run(0.3)], objective=objective)[0]
    assert torch.equal(by_name.test_logits, by_function.test_logits)
    assert torch.allclose(by_name.test_logits, by_objective.test_logits, atol=1e-5)
    with pytest.raises(ValueError, match=r"function of ibtutor\.losses"):
        fit([Run(0.3, loss="no_such_loss")])


def test_prepare_sees_inputs_targets_generator_and_run():
    seen = []

    def prepare(inputs, targets, generator, run):
        seen.append((inputs.shape, targets.shape, run.strength))
        noise = torch.randn(inputs.shape, generator=generator)
        return inputs + noise, torch.full((len(targets), 10), 0.1)

    done = fit([Run(0.0), Run(0.5)], replace(FAST, epochs=1), replace(TASK, prepare=prepare))
    assert (torch.Size([50, 1, 8, 8]), torch.Size([50]), 0.5) in seen
    assert done[0].history[0]["loss"] == pytest.approx(2.3, abs=0.4)


def test_measure_joins_the_history():
    def measure(outputs, run, epoch):
        hits = outputs.test_logits.argmax(1) == outputs.test_labels
        assert len(outputs.train_logits) == len(outputs.train_labels) == 200
        return {"accuracy": float(hits.double().mean()), "seen": (run.seed, epoch)}

    settings = replace(FAST, epochs=5, measure_every=2)
    for done in fit([Run(0.0, 1), Run(0.1, 2)], settings, measure=measure):
        assert [e["epoch"] for e in done.history if "accuracy" in e] == [2, 4, 5]
        assert done.history[-1]["accuracy"] == done.accuracy
        assert done.history[-1]["seen"] == (done.run.seed, 5)


def test_augmentation_changes_training_only():
    shifted = replace(TASK, augment=lambda images, generator: torch.zeros_like(images))
    done = fit([Run()], replace(FAST, lr=0.0, epochs=1), shifted)[0]
    plain = fit([Run()], replace(FAST, lr=0.0, epochs=1))[0]
    assert torch.equal(done.train_logits, plain.train_logits)
    assert done.history[0]["loss"] != plain.history[0]["loss"]


def test_half_precision_and_channels_last_stay_close():
    half = replace(FAST, precision="bfloat16", channels_last=True, epochs=2)
    a = fit([Run()], half, make=build_cnn)[0]
    b = fit([Run()], replace(FAST, epochs=2), make=build_cnn)[0]
    assert a.train_logits.dtype == torch.float32
    assert a.history[-1]["loss"] == pytest.approx(b.history[-1]["loss"], rel=0.05)


def test_biases_and_norms_can_be_spared_from_decay():
    make = partial(models.MLP, 64, (16,), 10, batch_norm=True)
    strong = Settings(
        epochs=1, lr=0.1, weight_decay=1.0, optimizer="adamw", schedule="constant", batch_size=200
    )
    for stacked, runs in ((False, [Run()]), (True, [Run(), Run(0.1)])):
        spared = fit(runs, replace(strong, decay_all=False, stacked=stacked), make=make)[0].state
        decayed = fit(runs, replace(strong, stacked=stacked), make=make)[0].state
        norm = "body.2.weight"
        assert not torch.equal(spared[norm], decayed[norm])
        assert torch.equal(spared["body.1.weight"], decayed["body.1.weight"])


def test_a_last_batch_of_one_is_left_out():
    make = partial(models.MLP, 64, (16,), 10, batch_norm=True)
    task = replace(TASK, train=(TRAIN.images[:101], TRAIN.labels[:101]))
    assert torch.isfinite(fit([Run()], task=task, make=make)[0].test_logits).all()


# --- resume ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stacked", [False, True])
def test_a_run_stopped_between_epochs_goes_on_to_the_same_numbers(tmp_path, stacked):
    class Stop(Exception):
        pass

    calls = []

    def measure(outputs, run, epoch):
        calls.append(epoch)
        if epoch == 3 and len(calls) < 8:
            raise Stop
        return {}

    make = partial(models.CCT, 8, 10, 1, layers=1, heads=1, width=8, tokenizer=((3, 1),))
    make = build_cnn if stacked else make  # the second has dropout
    settings = replace(FAST, epochs=5, stacked=stacked, checkpoint_seconds=0.0)
    task = replace(TASK, augment=partial(data.random_crop_flip, pad=1))
    runs = [Run(0.1, 5), Run(0.0, 5)]
    whole = fit(runs, settings, task, make)
    with pytest.raises(Stop):
        fit(runs, settings, task, make, resume=tmp_path, measure=measure)
    assert list(tmp_path.glob("*.pt"))
    calls.extend([0] * 8)
    resumed = fit(runs, settings, task, make, resume=tmp_path, measure=measure)
    assert all(same(a, b) for a, b in zip(whole, resumed, strict=True))
    again = fit(runs, settings, task, make, resume=tmp_path)
    assert all(same(a, b) for a, b in zip(whole, again, strict=True))


SCRIPT = """
import sys
from functools import partial
from ibtutor import data, models, train
task = train.Task(data.digits("train").take(200), data.digits("test").take(100),
                  augment=partial(data.random_crop_flip, pad=1))
settings = train.Settings(epochs=60, batch_size=8, lr=0.05, schedule="constant", stacked=False,
                          checkpoint_seconds=0.0)
train.fit(partial(models.MLP, 64, (16,), 10), task, [train.Run(0.1, 1)], settings,
          resume=sys.argv[1], progress=False)
"""


def test_a_run_killed_in_the_middle_goes_on_to_the_same_numbers(tmp_path):
    """The process is killed without warning while it trains, then started again."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    running = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*.pt")) and running.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, "it had finished before it could be killed"
    saved = torch.load(next(tmp_path.glob("*.pt")), weights_only=True)
    settings = Settings(epochs=60, batch_size=8, lr=0.05, schedule="constant", stacked=False)
    assert 0 < saved["epoch"] < settings.epochs
    task = Task(TRAIN, TEST, augment=partial(data.random_crop_flip, pad=1))
    resumed = fit([Run(0.1, 1)], settings, task, resume=tmp_path)[0]
    assert same(resumed, fit([Run(0.1, 1)], settings, task)[0])


def test_a_checkpoint_of_other_settings_or_data_is_refused(tmp_path):
    fit([Run(0.1)], resume=tmp_path)
    with pytest.raises(train.CheckpointError, match=r"settings\.lr"):
        fit([Run(0.1)], replace(FAST, lr=0.5), resume=tmp_path)
    other = replace(TASK, train=(TRAIN.images.flip(0), TRAIN.labels))
    with pytest.raises(train.CheckpointError, match="another data"):
        fit([Run(0.1)], task=other, resume=tmp_path)
    with pytest.raises(train.CheckpointError, match=r"another model: .*; another layers: "):
        fit([Run(0.1)], make=partial(models.MLP, 64, (8,), 10), resume=tmp_path)
    fit([Run(0.1)], replace(FAST, eval_batch=7), resume=tmp_path)


def test_how_many_images_are_evaluated_at_once():
    card, processor = torch.device("cuda"), torch.device("cpu")
    digits, large = torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 224, 224)
    assert evaluated_at_once(FAST, processor, digits) == 512
    assert evaluated_at_once(FAST, card, digits) == 2000 * 48
    assert evaluated_at_once(FAST, card, large) == 512
    # Whoever is out of memory there can say less.
    assert evaluated_at_once(replace(FAST, eval_batch=8), card, digits) == 8


@pytest.mark.parametrize("eval_batch", [None, 50])
def test_out_of_memory_says_what_to_lower(eval_batch):
    class Greedy(torch.nn.Linear):
        def forward(self, x):
            if not self.training:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.91 GiB.")
            return super().forward(x.flatten(1))

    said = rf"batch_size \(now {FAST.batch_size}\), then eval_batch \(now {eval_batch or 512}\)"
    with pytest.raises(MemoryError, match=said):
        fit([Run(0.1)], replace(FAST, eval_batch=eval_batch), make=partial(Greedy, 64, 10))


def _plain_objective(model, inputs, targets, run):
    return F.cross_entropy(model(inputs), targets)


def _weighted_objective(model, inputs, targets, run, weight=1.0, of=F.cross_entropy):
    return weight * of(model(inputs), targets)


def test_a_checkpoint_of_another_objective_is_refused(tmp_path):
    fit([Run(0.1)], resume=tmp_path, objective=_plain_objective)
    for other in (None, partial(_weighted_objective, weight=2.0)):
        with pytest.raises(train.CheckpointError, match="another objective"):
            fit([Run(0.1)], resume=tmp_path, objective=other)
    fit([Run(0.1)], resume=tmp_path, objective=_plain_objective)
    weighted = partial(_weighted_objective, weight=2.0)
    fit([Run(0.2)], resume=tmp_path, objective=weighted)
    with pytest.raises(train.CheckpointError, match="another objective"):
        fit([Run(0.2)], resume=tmp_path, objective=partial(_weighted_objective, weight=3.0))


def test_a_checkpoint_from_before_objectives_were_told_goes_on(tmp_path):
    before = fit([Run(0.1)], resume=tmp_path, objective=_plain_objective)[0]
    path = next(tmp_path.glob("*.pt"))
    saved = torch.load(path, weights_only=True)
    del saved["identity"]["objective"]
    torch.save(saved, path)
    assert same(fit([Run(0.1)], resume=tmp_path, objective=_plain_objective)[0], before)


def _zeroes(model, run, epoch):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return {}


def test_a_checkpoint_of_another_observer_is_refused(tmp_path):
    fit([Run(0.1)], resume=tmp_path, observe=_zeroes)
    with pytest.raises(train.CheckpointError, match="another observe"):
        fit([Run(0.1)], resume=tmp_path)


@pytest.mark.parametrize("other", [{"heads": 4}, {"attention_dropout": 0.9}])
def test_a_checkpoint_of_layers_that_look_alike_is_refused(tmp_path, other):
    def cct(**changed):
        small = {"size": 8, "num_classes": 10, "in_channels": 1, "layers": 1, "heads": 2}
        small |= {"width": 16, "tokenizer": ((3, 1),), "attention_dropout": 0.1}
        return models.CCT(**small | changed)

    one = replace(FAST, epochs=1)
    (done,) = fit([Run(0.1)], one, make=cct, resume=tmp_path)
    assert str(cct()) == str(cct(**other))
    with pytest.raises(train.CheckpointError, match="another layers"):
        fit([Run(0.1)], one, make=partial(cct, **other), resume=tmp_path)
    again = done.load(cct())  # its positions are no part of its state
    images = (TEST.images[:5].float() / 255 - TASK.mean[0]) / TASK.std[0]
    torch.testing.assert_close(again(images), done.test_logits[:5])


def _tabled(model, inputs, targets, run, table):
    return F.cross_entropy(model(inputs), targets) * table.mean()


@pytest.mark.parametrize(
    "kind", [torch.from_numpy, np.asarray, lambda x: torch.tensor(x).bfloat16()]
)
def test_a_checkpoint_of_another_table_is_refused(tmp_path, kind):
    one, other = np.ones(2000, "float32"), np.ones(2000, "float32")
    other[5:1990] = 5.0  # a text of it would leave this out
    fit([Run(0.1)], resume=tmp_path, objective=partial(_tabled, table=kind(one)))
    fit([Run(0.1)], resume=tmp_path, objective=partial(_tabled, table=kind(one.copy())))
    with pytest.raises(train.CheckpointError, match="another objective"):
        fit([Run(0.1)], resume=tmp_path, objective=partial(_tabled, table=kind(other)))


def test_partial_losses_have_names_that_can_be_read():
    losses_of_two = [partial(losses.soft_cross_entropy, reduction=r) for r in ("mean", "sum")]
    one, other = (Run(0.1, loss=loss).name for loss in losses_of_two)
    assert one != other
    assert one.startswith("soft_cross_entropy-")
    assert one.endswith("-0.1-seed0")
    assert Run(0.1, loss=losses.soft_cross_entropy).name == "soft_cross_entropy-0.1-seed0"


def test_an_objective_is_described_alike_in_every_process():
    from ibtutor._training.plan import describe

    class Objective:
        pass

    def function():
        pass

    one, two = (describe(partial(function, Objective(), of=function)) for _ in range(2))
    assert one == two
    assert "0x" not in one
    assert describe(partial(F.cross_entropy, label_smoothing=0.1)).endswith(
        "cross_entropy(label_smoothing=0.1)"
    )


def test_numbers_of_numpy_are_read_back(tmp_path):
    def measure(outputs, run, epoch):
        return {"share": np.float64(0.5), "pair": (np.int64(epoch), 1), "many": [np.arange(2)]}

    fit([Run(0.1)], resume=tmp_path, measure=measure)
    (again,) = fit([Run(0.1)], resume=tmp_path, measure=measure)
    last = again.history[-1]
    assert [last["share"], last["pair"], last["many"]] == [0.5, (3, 1), [[0, 1]]]
    assert type(last["share"]) is float


def test_a_damaged_checkpoint_says_what_to_do(tmp_path):
    fit([Run(0.1)], resume=tmp_path)
    path = next(tmp_path.glob("*.pt"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(train.CheckpointError, match="delete it"):
        fit([Run(0.1)], resume=tmp_path)


# --- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize("stacked", [False, True])
def test_a_diverging_run_is_reported_and_stops_no_other(stacked):
    def loss(logits, targets, strength):
        return F.cross_entropy(logits, targets) * (float("nan") if strength > 1 else 1.0)

    runs = [Run(0.0, loss=loss), Run(2.0, loss=loss), Run(0.0, 1, loss=loss)]
    settings = replace(FAST, stacked=stacked)
    done = fit(runs, settings)
    assert [bool(d.diverged) for d in done] == [False, True, False]
    assert done[1].diverged == "the loss became nan in epoch 1"
    plain = fit([Run(0.0), Run(0.0, 1)], settings)
    assert torch.allclose(done[2].test_logits, plain[1].test_logits, atol=1e-5)


def test_outputs_that_are_no_numbers_have_diverged_though_the_loss_was_one():
    """Normalized by its batch the network trains on; its running statistics are lost."""

    def measure(outputs, run, epoch):
        assert bool(outputs.train_logits.isfinite().all()), run.name
        return {}

    make = partial(models.MLP, 64, (16,), 10, batch_norm=True)
    settings = replace(FAST, epochs=1, optimizer="sgd", lr=0.1, weight_decay=1e9)
    for measured in (None, measure):
        (done,) = fit([Run()], settings, make=make, measure=measured)
        assert np.isfinite(done.history[-1]["loss"])
        assert done.diverged == "the outputs were no numbers after epoch 1"


def test_a_class_that_is_ruled_out_is_no_divergence():
    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = build()

        def forward(self, x):
            logits = self.body(x)
            return logits if self.training else logits.masked_fill(logits < 0, -torch.inf)

    (done,) = fit([Run()], make=Masked, measure=lambda *about: {"measured": True})
    assert bool(done.train_logits.isinf().any())
    assert done.diverged is None
    assert "measured" in done.history[-1]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_class_that_is_ruled_out_in_training_is_no_divergence(stacked):
    """Of logit minus infinity, which costs nothing without smoothing, side by side or not."""

    class Ruled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = build()

        def forward(self, x):
            logits = self.body(x)
            return torch.cat([logits, torch.full_like(logits[:, :1], -torch.inf)], 1)

    runs = [Run(0.0, seed=s) for s in (0, 1)]
    found = fit(runs, replace(FAST, stacked=stacked), make=Ruled)
    assert [done.diverged for done in found] == [None, None]
    assert found[0].history[-1]["loss"] < found[0].history[0]["loss"]


def test_a_run_that_diverged_is_not_observed():
    def strict(model, run, epoch):
        assert all(bool(p.isfinite().all()) for p in model.parameters()), run.name
        return {"observed": True}

    settings = replace(FAST, optimizer="sgd", epochs=4)
    broken, fine = fit([Run(0.0, 0, lr=1e38), Run(0.0, 1)], settings, observe=strict)
    assert broken.diverged
    assert not any("observed" in entry for entry in broken.history)
    assert all("observed" in entry for entry in fine.history)


@pytest.mark.parametrize("stacked", [False, True])
def test_a_run_that_diverged_is_not_measured(stacked):
    def loss(logits, targets, strength):
        return F.cross_entropy(logits, targets) * (float("nan") if strength > 1 else 1.0)

    def measure(outputs, run, epoch):
        assert bool(outputs.train_logits.isfinite().all()), run.name
        return {"measured": True}

    runs = [Run(0.0, loss=loss), Run(2.0, loss=loss)]
    settings = replace(FAST, stacked=stacked, measure_every=1)
    fine, broken = fit(runs, settings, measure=measure)
    assert all("measured" in entry for entry in fine.history)
    assert not any("measured" in entry for entry in broken.history)


@pytest.mark.parametrize(
    "name", ["cud", "gpu", "cuda:77", "cuda" if not torch.cuda.is_available() else "x"]
)
def test_unknown_devices_are_refused(name):
    with pytest.raises(ValueError, match="device"):
        fit([Run()], device=name)


def test_auto_finds_a_device():
    assert str(train.resolve_device("auto")) in ("cpu", "cuda", "mps")


def test_a_full_memory_says_what_to_lower():
    class Greedy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(10))

        def forward(self, x):
            return torch.empty(2**55) * self.weight[0]

    with pytest.raises(MemoryError, match=r"batch_size \(now 50\)"):
        fit([Run()], make=Greedy)


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit([Run()], make=partial(models.MLP, 63, (16,), 10))


def test_what_cannot_be_is_refused_before_any_work():
    with pytest.raises(ValueError, match=r"\[0, 1\], got -0.1"):
        Run(-0.1)
    with pytest.raises(ValueError, match="at least 0, got nan"):
        Run(float("nan"), loss="confidence_penalty")
    with pytest.raises(ValueError, match="optimizer must be one of sgd"):
        Settings(optimizer="lion")
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        Settings(epochs=0)
    with pytest.raises(ValueError, match="lr must be at least 0"):
        Settings(lr=float("nan"))
    with pytest.raises(ValueError, match="labels of shape"):
        Task((TRAIN.images, TRAIN.labels[:-1]), TEST)
    with pytest.raises(ValueError, match="int64"):
        Task((TRAIN.images, TRAIN.labels.int()), TEST)
    with pytest.raises(ValueError, match="test images"):
        Task(TRAIN, (TEST.images[:, :, :4], TEST.labels))
    with pytest.raises(ValueError, match="num_classes is 5"):
        Task(TRAIN, TEST, num_classes=5)
    with pytest.raises(ValueError, match="targets must be"):
        Task(TRAIN, TEST, targets=torch.zeros(7, 10))
    with pytest.raises(ValueError, match="output for each of 10 classes, got 9"):
        fit([Run(0.1)], make=partial(models.MLP, 64, (16,), 9))
    with pytest.raises(ValueError, match="two runs are alike"):
        fit([Run(0.1), Run(0.1)])


def test_progress_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train.fit(build, TASK, [Run()], replace(FAST, epochs=2), progress=True)
    assert "epoch" in capsys.readouterr().err


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    fit([Run()])
    assert torch.equal(torch.rand(3), expected)
