"""Steps replayed as a CUDA graph are the plain ones; without a card, their bookkeeping is."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from ibtutor import data, models, train
from ibtutor._training.captured import Captured
from ibtutor.train import Run, Settings, Task

CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_each_batch_comes_once_in_order_with_its_rate():
    seen = []
    rate = torch.zeros(())

    def step(rows):
        seen.append((rows.tolist(), round(float(rate), 6)))
        return rows.double().mean(1)

    loop = Captured(step, [], rate)
    for shift in (0, 100):
        order = torch.stack([torch.arange(7), torch.arange(7).flip(0)]) + shift
        sums = loop.epoch(order, 3, [0.1 + shift, 0.2, 0.3])
        assert sums.tolist() == order.double().sum(1).tolist()
        first = order.tolist()
        parts = [[row[a : a + 3] for row in first] for a in (0, 3, 6)]
        expected = list(zip(parts, [0.1 + shift, 0.2, 0.3], strict=True))
        assert seen[-3:] == [(rows, pytest.approx(r, abs=1e-5)) for rows, r in expected]


def test_a_device_without_graphs_says_so():
    assert "cpu" in Captured(lambda rows: rows, [], torch.zeros(())).refused


# --- with a card -----------------------------------------------------------------------------

TASK = Task(
    data.digits("train").take(640),
    data.digits("test").take(100),
    mean=(0.305,),
    std=(0.376,),
    augment=partial(data.random_crop_flip, pad=1),
)
SETTINGS = Settings(epochs=10, batch_size=100, lr=0.02, milestones=(5,), checkpoint_seconds=0)


def _fit(settings, run=None, make=None, task=TASK, **options):
    make = make or partial(models.resnet20, 10, 1)
    run = run or Run(0.1)
    return train.fit(make, task, [run], settings, device="cuda", progress=False, **options)[0]


@CARD
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["label_smoothing", "confidence_penalty"])
def test_fifty_captured_steps_give_the_losses_of_plain_ones(optimizer, loss):
    settings = replace(SETTINGS, optimizer=optimizer, lr=0.02 if optimizer == "sgd" else 1e-3)
    both = [_fit(replace(settings, captured=c), Run(0.1, loss=loss)) for c in (None, False)]
    losses = [[entry["loss"] for entry in done.history] for done in both]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)


@CARD
def test_a_captured_run_goes_on_to_the_same_numbers(tmp_path):
    def stop(outputs, run, epoch):
        if epoch == 4:
            raise KeyboardInterrupt
        return {}

    whole = _fit(SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        _fit(SETTINGS, resume=tmp_path, measure=stop)
    again = _fit(SETTINGS, resume=tmp_path)
    assert torch.equal(again.train_logits, whole.train_logits)


@CARD
def test_a_step_that_waits_is_not_captured(capsys):
    def waiting(logits, labels, strength):
        assert float(logits.detach().sum()) < 1e9  # reads a value back
        return torch.nn.functional.cross_entropy(logits, labels)

    done = _fit(SETTINGS, Run(0.0, loss=waiting))
    assert "waits for the device" in capsys.readouterr().err
    assert done.diverged is None
