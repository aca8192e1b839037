"""Shrinking a latent: rescaling that changes nothing, noise that does, claims, bad input."""

import math
from dataclasses import fields, replace

import pytest
import torch

from ibtutor import train
from ibtutor.experiments import Result
from ibtutor.experiments.kirsch import _noise as noise
from ibtutor.experiments.kirsch import _noise_claims as judged_by
from ibtutor.experiments.kirsch import fig4_noise as fig4
from ibtutor.info import ZERO_ENTROPY_STD, gaussian_entropy_bound

TINY = replace(
    fig4.SMOKE,
    train_images=200,
    test_images=100,
    channels=(4, 4),
    hidden=16,
    latent=6,
    seeds=(0, 1),
    epochs=3,
    measured=100,
)


@pytest.fixture(scope="module")
def tiny():
    return fig4.run(TINY, progress=False)


def network(noise_std=0.0, latent=6):
    torch.manual_seed(0)
    return noise.Network(noise.Encoder(1, 8, (4, 4), 16, latent), latent, 10, noise_std).eval()


# --- the network ----------------------------------------------------------------------------------


def test_the_encoder_is_the_papers():
    encoder = noise.Encoder(1, 28, (32, 64), 128, 128)
    assert encoder.hidden.in_features == 9216
    assert sum(p.numel() for p in encoder.parameters()) == 320 + 18_496 + 1_179_776 + 16_512
    config = fig4.Config()
    assert (config.channels, config.hidden, config.latent) == ((32, 64), 128, 128)


def test_masks_are_drawn_anew_for_every_sample_and_only_in_training():
    encoder = network().encoder
    x = torch.randn(3, 1, 8, 8)
    z = encoder.eval()(x, 4)
    assert z.shape == (4, 3, 6)
    torch.testing.assert_close(z[0], z[3])
    z = encoder.train()(x, 4)
    assert (z[0] != z[3]).any()


def test_the_product_done_once_is_that_of_every_mask(monkeypatch):
    encoder = network().encoder.double().train()
    torch.nn.init.normal_(encoder.hidden.bias)
    x, masks = torch.randn(5, 1, 8, 8).double(), []

    def dropout(x, p, training):
        keep = torch.rand_like(x) > p
        masks.append(keep / (1 - p))
        return x * masks[-1]

    monkeypatch.setattr(noise.F, "dropout", dropout)
    z = encoder(x, 3)
    channels, units = masks  # (B, samples, C) and (samples, B, hidden)
    features = torch.relu(encoder.second(torch.relu(encoder.first(x))))
    features = torch.nn.functional.max_pool2d(features, 2)
    for k in range(3):
        flat = (features * channels[:, k, :, None, None]).flatten(1)
        expected = encoder.last(torch.relu(encoder.hidden(flat)) * units[k])
        torch.testing.assert_close(z[k], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("target", [2.0, 1e-3, 1e-12])
def test_rescaling_leaves_the_outputs_and_gives_the_latents_the_deviation(target):
    model, x = network(), torch.randn(500, 1, 8, 8)
    for _ in range(2):  # also from latents that were rescaled before
        before, z = model(x), model.latents(x, 1)[0].double()
        model.rescale(z.mean(0).float(), z.std(0, correction=0).float(), target)
        torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-4)
        z = model.latents(x, 1)[0].double() / target
        torch.testing.assert_close(
            z.std(0, correction=0), torch.ones(6).double(), atol=1e-3, rtol=0
        )
        torch.testing.assert_close(z.mean(0), torch.zeros(6).double(), atol=1e-3, rtol=0)
        target = 2 * target


def test_a_dimension_that_stands_still_does_not_divide_by_zero():
    model = network()
    model.rescale(torch.zeros(6), torch.zeros(6), 1.0)
    assert model(torch.randn(4, 1, 8, 8)).isfinite().all()


def test_the_noise_has_entropy_zero_and_comes_anew():
    model = network(ZERO_ENTROPY_STD)
    x = torch.randn(2, 1, 8, 8)
    assert (model(x) != model(x)).any()
    z = torch.zeros(200_000, 1)
    decoder = torch.nn.Linear(1, 1, bias=False)
    decoder.weight.data.fill_(1.0)
    model.decoder = decoder
    assert float(model.decode(z).detach().std()) == pytest.approx(ZERO_ENTROPY_STD, rel=0.01)


def test_the_bound_is_that_of_the_package():
    z = torch.randn(50, 3, dtype=torch.float64) * torch.tensor([0.1, 1.0, 4.0])
    expected = gaussian_entropy_bound(z, diagonal=True, noise_std=ZERO_ENTROPY_STD)
    assert noise.mean_field_bound(z.std(0), ZERO_ENTROPY_STD) == pytest.approx(float(expected))
    assert noise.mean_field_bound(torch.zeros(5), ZERO_ENTROPY_STD) == pytest.approx(0, abs=1e-12)
    assert noise.mean_field_bound(torch.full((4,), 1e-30), 0.0) < -200


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_has_a_row_for_every_arm_seed_and_epoch(tiny):
    keys = [(row["seed"], row["arm"], row["epoch"]) for row in tiny.rows]
    assert keys == [(s, a, e) for s in (0, 1) for a in noise.ARMS for e in (1, 2, 3)]
    assert all(math.isfinite(row[name]) for row in tiny.rows for name in noise.MEASURES)
    assert fig4.parts(TINY)[:3] == ("seed0-silent", "seed0-noisy", "seed0-kept")
    assert set(tiny.fingerprints) == {"train", "test"}


def test_arms_of_a_seed_start_alike_and_with_noise_no_bound_is_negative(tiny):
    first = {r["arm"]: r for r in tiny.rows if r["seed"] == 0 and r["epoch"] == 1}
    assert first["noisy"] == first["kept"] | {"arm": "noisy"}
    assert all(row["bound"] >= 0 for row in tiny.rows if row["arm"] != "silent")
    latest = {a: list(judged_by.at_the_end(tiny, a, "std").values()) for a in noise.ARMS}
    assert max(latest["silent"]) < min(latest["kept"])


def test_parts_one_by_one_are_the_whole_and_missing_ones_are_left_out(tiny):
    done = {n: fig4.run_part(TINY, n, progress=False) for n in fig4.parts(TINY)[3:]}
    rows = [row for row in tiny.rows if row["seed"] == 1]
    assert fig4.assemble(TINY, done).rows == rows
    assert fig4.assemble(TINY, {}).rows == []


def test_a_run_stopped_in_the_middle_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    config = replace(TINY, seeds=(0,), arms=("noisy",), measured=50)
    whole = fig4.run(config, progress=False)
    plain, calls = noise.measured, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(train.Settings, "checkpoint_seconds", 0.0)
    monkeypatch.setattr(noise, "measured", stops)
    with pytest.raises(KeyboardInterrupt):
        fig4.run(config, progress=False, resume=tmp_path)
    assert fig4.run(config, progress=False, resume=tmp_path).rows == whole.rows


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, r"seeds must name at least one run, got \(\)"),
        ({"arms": ("loud",)}, r"arms must be some of silent, noisy, kept, got \('loud',\)"),
        ({"shrink": 1.0}, r"shrink must lie between 0 and 1, got 1\.0"),
        ({"start_std": 0.0}, r"start_std must be positive, got 0\.0"),
        ({"samples": 0}, "samples must be positive, got 0"),
        ({"data": "fashion"}, "data must be mnist or digits, got 'fashion'"),
        ({"train_images": 10**6}, "count must lie in 1..1297"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_before_any_training(change, message):
    with pytest.raises(ValueError, match=message):
        fig4.run(replace(TINY, **change), progress=False)


def test_an_unknown_part_is_refused():
    with pytest.raises(
        ValueError, match=r"part must be one of seed0-silent, .* got 'seed9-silent'"
    ):
        fig4.run_part(TINY, "seed9-silent", progress=False)


# --- claims ---------------------------------------------------------------------------------------

BOUNDS = (60.0, 10.0, 6.0, 2.0, 1.0, 0.5, 0.2, 0.0001)


def made_up(silent=(0.1, 0.05, 0.04, 0.03, 0.03, 0.02, 0.02, 0.02), low=-150.0, **changes):
    """A result with three seeds; errors by epoch of each arm."""
    noisy = changes.get("noisy", (0.1, 0.12, 0.2, 0.4, 0.6, 0.75, 0.85, 0.9))
    kept = changes.get("kept", silent)
    nats = changes.get("nats", 0.1)
    bounds = {"silent": (60.0, 10.0, *[low] * 6), "noisy": BOUNDS, "kept": [60.0] * 8}
    bounds["noisy"] = changes.get("bounds", BOUNDS)
    rows = []
    for seed, wiggle in enumerate((0.0, 0.002, -0.002)):
        for arm, errors in (("silent", silent), ("noisy", noisy), ("kept", kept)):
            for epoch, (error, bound) in enumerate(zip(errors, bounds[arm], strict=True), 1):
                row = {"arm": arm, "seed": seed, "epoch": epoch, "bound": bound, "std": 1.0}
                row |= {"error": error + wiggle, "single_error": error + 0.1, "test_error": error}
                rows.append(row | {"cross_entropy": nats + wiggle, "h_y": math.log(10)})
    return Result(rows, judged_by.summarize(rows))


def verdicts(result):
    return {claim.id: claim.verdict(result)["verdict"] for claim in fig4.CLAIMS}


def test_what_the_paper_tells_would_be_reproduced():
    assert set(verdicts(made_up()).values()) == {"reproduced"}
    control = fig4.CLAIMS[1].verdict(made_up())
    assert control["survives_null_control"] == "yes"


@pytest.mark.parametrize(
    ("changes", "claim", "answer"),
    [
        ({"silent": (0.1, 0.05, *[0.3] * 6)}, "without_noise", "not reproduced"),
        ({"low": -50.0}, "without_noise", "not run"),
        ({"noisy": (0.1, 0.12, 0.2, 0.25, 0.3, 0.33, 0.36, 0.4)}, "with_noise", "not reproduced"),
        ({"noisy": (0.1, 0.5, 0.2, 0.6, 0.3, 0.9, 0.4, 0.9)}, "steady_rise", "not reproduced"),
        ({"nats": 1.9}, "information_stays", "not reproduced"),
        ({"noisy": (0.1, 0.12, 0.2, 0.3, 0.31, 0.32, 0.33, 0.7)}, "floor", "not reproduced"),
        ({"silent": (0.1, 0.05, *[0.8] * 6)}, "floor", "not reproduced"),
        ({"bounds": [20.0] * 8}, "with_noise", "not run"),
    ],
    ids=str,
)
def test_each_claim_can_fail(changes, claim, answer):
    assert verdicts(made_up(**changes))[claim] == answer


def test_a_control_that_loses_as_much_is_named():
    same = (0.1, 0.12, 0.2, 0.4, 0.6, 0.75, 0.85, 0.9)
    assert fig4.CLAIMS[1].verdict(made_up(noisy=same, kept=same))["survives_null_control"] == "no"


def test_nothing_is_judged_without_rows_or_with_one_seed():
    assert set(verdicts(Result([])).values()) == {"not run"}
    alone = made_up()
    alone.rows = [row for row in alone.rows if row["seed"] == 0]
    judged = verdicts(alone)
    assert {judged.pop("steady_rise"), judged.pop("floor")} == {"reproduced"}
    assert set(judged.values()) == {"not run"}


def test_the_floor_is_fanos():
    assert judged_by.floor(-3.0) == pytest.approx(0.9)
    assert judged_by.floor(100.0) == 0
    p = judged_by.floor(1.0)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert entropy + p * math.log(9) == pytest.approx(math.log(10) - 1.0, abs=1e-6)
    assert judged_by.floor(0.0, 2.2) < 0.9  # unequal classes: the commonest is right more often


def test_the_finding_and_the_summary_name_the_ends():
    found = made_up()
    assert "at most -150 nats the training error is 2.0%" in fig4.finding(found)
    assert "0 epochs" in fig4.finding(Result([]))
    assert found.summary["noisy_error"] == pytest.approx(0.9)
    assert found.summary["silent_error_near_10_nats"] == pytest.approx(0.05)
    for row in found.rows:
        assert math.isinf(fig4.tolerances(row, [])["cross_entropy"]) == (row["arm"] == "noisy")


def test_regrowth_is_the_largest_factor_after_the_first_epoch():
    stds = {0: (9.0, 1.0, 0.5), 1: (7.0, 2.0, 0.5)}  # set before: 2.0, 1.0, 0.5
    rows = [
        {"arm": "noisy", "seed": seed, "epoch": epoch, "std": std}
        for seed, values in stds.items()
        for epoch, std in enumerate(values, 1)
    ]
    assert judged_by.regrowth(Result(rows), "noisy", 2.0, 0.5) == pytest.approx(1.5)
    assert math.isnan(judged_by.regrowth(Result(rows), "silent", 2.0, 0.5))


def test_the_arm_with_noise_may_be_longer_and_its_parts_say_so():
    longer = replace(TINY, noisy_epochs=4, seeds=(0,), arms=("noisy", "kept"))
    assert fig4.parts(longer) == ("seed0-noisy-epochs4", "seed0-kept")
    assert "4 with noise" in fig4.size(longer)
    rows = fig4.run(longer, progress=False).rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 1, 2, 3]
    with pytest.raises(ValueError, match="noisy_epochs must be at least 1 or None, got 0"):
        fig4.parts(replace(TINY, noisy_epochs=0))


def test_all_changes_that_are_not_of_size_are_explained():
    size = {"train_images", "test_images", "seeds", "epochs", "channels", "hidden", "latent"}
    size |= {"samples", "measured_samples", "measured"}
    for chosen in (fig4.SMOKE, fig4.QUICK):
        assert fig4.size(chosen).startswith(f"{chosen.train_images:,} images, a small network")
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(fig4.Config(), field.name)
        }
        assert changed - size <= set(fig4.DIFFERENCES)
    assert "the example's network" in fig4.size(fig4.Config())
