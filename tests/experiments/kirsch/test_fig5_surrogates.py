"""Surrogates on one bench: closed forms, runs, the scaled control, claims, bad input."""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from ibtutor import losses, train
from ibtutor.experiments import Result
from ibtutor.experiments.kirsch import _surrogate as surrogate
from ibtutor.experiments.kirsch import _surrogate_claims as judged_by
from ibtutor.experiments.kirsch import fig5_surrogates as fig5
from ibtutor.info import ZERO_ENTROPY_STD

TINY = replace(
    fig5.SMOKE,
    train_images=200,
    test_images=100,
    width=16,
    latent=3,
    gammas=(0.01, 1.0),
    epochs=3,
    batch_size=50,
    points=200,
)
NONE, SCALED = surrogate.NONE, surrogate.SCALED


@pytest.fixture(scope="module")
def tiny():
    return fig5.run(TINY, progress=False)


# --- the network and its loss ---------------------------------------------------------------------


@pytest.mark.parametrize("learned", [False, True])
def test_all_networks_start_with_zero_entropy_noise(learned):
    encoder = nn.Linear(4, 6 if learned else 3)
    nn.init.zeros_(encoder.weight)
    nn.init.zeros_(encoder.bias)
    mean, std = surrogate.Network(encoder, 3, 10, learned)(torch.randn(5, 4)).chunk(2, 1)
    assert mean.shape == std.shape == (5, 3)
    torch.testing.assert_close(std, torch.full_like(std, ZERO_ENTROPY_STD), atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", [NONE, *surrogate.REGULARIZERS])
def test_without_strength_every_loss_is_the_decoder_cross_entropy(name):
    learned = name in surrogate.BOTTLENECKS
    torch.manual_seed(0)
    model = surrogate.Network(nn.Linear(4, 6 if learned else 3), 3, 4, learned)
    x, y = torch.randn(40, 4), torch.arange(40) % 4
    values = []
    for gamma in (0.0, 0.5):
        torch.manual_seed(1)
        values.append(surrogate.objective_of(name, 4)(model, x, y, train.Run(gamma)).detach())
    torch.manual_seed(1)
    mean, std = model(x).chunk(2, 1)
    plain = losses.decoder_cross_entropy(model.decoder(losses.sample_gaussian(mean, std)), y)
    torch.testing.assert_close(values[0], plain.detach())
    assert (values[1] > values[0]) == (name != NONE)


def test_a_class_with_one_example_in_a_batch_passes_without_a_word():
    model = surrogate.Network(nn.Linear(4, 3), 3, 4, learned=False)
    y = torch.tensor([0, 0, 1, 1, 2, 2, 3])
    run = train.Run(0.5)
    loss = surrogate.objective_of("log_variance_given_y", 4)(model, torch.randn(7, 4), y, run)
    assert loss.isfinite()


def test_resnet18_for_small_images():
    config = replace(TINY, model="resnet18", width=64)
    network = fig5.encoder(config, (3, 32, 32), 7).eval()
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert network.conv1.stride == (1, 1)


def test_small_cnn_reads_color_images_and_trains_channels_last():
    config = replace(fig5.QUICK, latent=3, width=4)
    network = fig5.encoder(config, (3, 32, 32), 6).eval()
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 6)
    assert surrogate.settings(config).channels_last
    assert not surrogate.settings(TINY).channels_last


# --- the estimates --------------------------------------------------------------------------------


def test_entropies_of_clusters_with_known_ones():
    """Ten far clusters and the noise alone: H[Z|Y] = H[Z|X] = 0, H[Z] = log 10."""
    labels = torch.arange(4000) % 10
    mean = 20.0 * torch.eye(10)[labels].double()[:, :3] + torch.arange(10).double()[labels, None]
    std = torch.full_like(mean, ZERO_ENTROPY_STD)
    z = mean + std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    config = replace(TINY, points=4000)
    found = surrogate.entropies(z, mean, std, labels, config, "cpu")
    assert found["h_z_given_x"] == pytest.approx(0, abs=1e-9)
    assert found["h_z"] == pytest.approx(math.log(10), abs=0.15)
    assert found["h_z_given_y"] == pytest.approx(0, abs=0.15)
    assert found["bound_z_given_y"] == pytest.approx(0, abs=0.15)
    assert found["bound_z"] > found["h_z"]
    assert found["norm"] == pytest.approx(float(z.square().sum(1).mean()), rel=0.01)
    assert judged_by.residual(found) == pytest.approx(0, abs=0.15)
    assert judged_by.preserved(found) == pytest.approx(math.log(10), abs=0.15)


def test_scaling_leaves_the_decoder_where_it_was_but_for_the_noise():
    model = surrogate.Network(nn.Linear(4, 3), 3, 4, learned=False)
    x, y = torch.randn(200, 4), torch.arange(200) % 4
    output = model(x).detach()
    output[:, 3:] = 1e-9  # no noise
    outputs = train.Outputs(output, y, output, y)
    one, small = (surrogate.measured(model, outputs, TINY, "cpu", f) for f in (1.0, 0.01))
    assert small["train_error"] == one["train_error"]
    assert small["norm"] == pytest.approx(1e-4 * one["norm"], rel=1e-5)
    assert small["h_z"] == pytest.approx(one["h_z"] + 3 * math.log(0.01), abs=1e-3)


def test_the_logged_epochs_end_with_the_last():
    for epochs in (1, 2, 3, 25, 60):
        logged = surrogate.epochs_to_log(epochs)
        assert logged[0] == 1
        assert logged[-1] == epochs
        assert len(logged) <= 14


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_has_a_row_for_every_logged_step_and_factor(tiny):
    settings = [(r["regularizer"], r["gamma"], r["epoch"]) for r in tiny.rows]
    trained = [(NONE, 0.0)] + [
        (r, g)
        for group in (surrogate.SURROGATES, surrogate.BOTTLENECKS)
        for g in TINY.gammas
        for r in group
    ]
    expected = [(r, g, e) for r, g in trained for e in surrogate.epochs_to_log(3)]
    scaled = [(SCALED, f, 3) for f in surrogate.FACTORS]
    assert settings == expected[:3] + scaled + expected[3:]
    assert all(math.isfinite(r[name]) for r in tiny.rows for name in surrogate.MEASURES)
    whole = [r for r in tiny.rows if r["regularizer"] == NONE][-1]
    assert all(tiny.rows[3][name] == whole[name] for name in surrogate.MEASURES)


def test_parts_one_by_one_are_the_whole_and_missing_ones_are_left_out(tiny):
    names = fig5.parts(TINY)
    assert names[:2] == ("seed0-none", "seed0-activation_norm-0.01")
    done = {n: fig5.run_part(TINY, n, progress=False) for n in names[4:6]}
    expected = [r for n in names[4:6] for r in done[n].rows]
    assert fig5.assemble(TINY, done).rows == expected
    keys = {(r["regularizer"], r["gamma"]) for r in expected}
    assert expected == [r for r in tiny.rows if (r["regularizer"], r["gamma"]) in keys]
    assert fig5.assemble(TINY, {}).rows == []


def test_a_run_killed_behind_its_last_checkpoint_has_all_its_rows(tiny, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    plain = train.fit

    def killed(*arguments, **options):
        plain(*arguments, **options)
        raise Killed

    monkeypatch.setattr(train, "fit", killed)
    with pytest.raises(Killed):
        fig5.run_part(TINY, "seed0-none", progress=False, resume=tmp_path)
    monkeypatch.setattr(train, "fit", plain)
    resumed = fig5.run_part(TINY, "seed0-none", progress=False, resume=tmp_path)
    assert resumed.rows == [r for r in tiny.rows if r["regularizer"] in (NONE, SCALED)]


def test_names_of_parts_are_read_back():
    for config in (fig5.Config(), fig5.QUICK, fig5.SMOKE):
        read = [surrogate.split_name(name) for name in fig5.parts(config)]
        assert len(set(read)) == len(read)
        assert {g for _, name, g in read if name != NONE} == set(config.gammas)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, r"seeds must name at least one run, got \(\)"),
        ({"regularizers": ("weight_decay",)}, r"got \('weight_decay',\)"),
        ({"gammas": (0.0, 1.0)}, r"gammas must be positive numbers, got \(0\.0, 1\.0\)"),
        ({"batch_size": 97}, "the last batch of 6 of 200 images may hold no two of one class"),
        ({"points": 50}, "points must be at least 60 for 3 neighbors, got 50"),
        ({"data": "fashion"}, "data must be cifar10 or digits, got 'fashion'"),
        ({"model": "vgg"}, "model must be resnet18, small_cnn or mlp, got 'vgg'"),
        ({"train_images": 10**6}, "count must lie in 1..1297"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_before_any_training(change, message):
    with pytest.raises(ValueError, match=message):
        fig5.run(replace(TINY, **change), progress=False)


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match=r"part must be one of seed0-none, .* got 'seed0-all'"):
        fig5.run_part(TINY, "seed0-all", progress=False)


# --- claims ---------------------------------------------------------------------------------------

STRENGTHS = (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0)
ENTROPIES = {
    "activation_norm": (20.0, 12.0, 7.0, 4.0, 2.5, 0.0),
    "log_variance": (20.0, 19.0, 15.0, 7.0, 2.5, 0.0),
    "log_variance_given_y": (20.0, 18.5, 14.0, 6.0, 2.5, 0.0),
    "variational_bottleneck": (20.0, 15.0, 8.0, 4.0, 2.5, 0.0),
    "conditional_entropy_bottleneck": (20.0, 15.0, 8.0, 4.0, 2.5, 2.3),
}
H_Y = math.log(10)


def made_up(change=None, share=1.0, scaled_loss=0.5):
    """A result in which every network keeps min(H[Z], log 10) nats of the label times `share`."""
    rows = []

    def add(name, gamma, epoch, h_z, lost=0.0):
        kept = share * min(h_z, H_Y) - lost
        row = {"regularizer": name, "gamma": gamma, "seed": 0, "epoch": epoch, "h_z": h_z}
        rows.append(row | {"h_z_given_y": h_z - kept, "h_z_given_x": 0.0})

    for name, values in (ENTROPIES | (change or {})).items():
        for gamma, h_z in zip(STRENGTHS, values, strict=True):
            for epoch, factor in ((1, 0.2), (2, 1.5), (4, 1.2), (8, 1.0)):
                at = h_z * factor if epoch < 8 else h_z
                add(name if gamma else NONE, gamma, epoch, at)
    for factor, h_z in zip((0.01, 0.05, 0.1, 0.5, 1.0), (0.5, 3.0, 5.0, 12.0, 20.0), strict=True):
        add(SCALED, factor, 8, h_z, scaled_loss)
    return Result(rows, judged_by.summarize(rows))


def verdicts(result):
    return {claim.id: claim.verdict(result)["verdict"] for claim in fig5.CLAIMS}


def test_what_the_paper_tells_would_be_reproduced():
    assert set(verdicts(made_up()).values()) == {"reproduced"}


@pytest.mark.parametrize(
    ("changes", "claim", "answer"),
    [
        ({"log_variance": (20, 19, 15, 7, 20.5, 21)}, "entropy_falls", "partly"),
        ({"log_variance": (20, 19, 15, 7, 20.5, 21)}, "conditional_entropy_falls", "partly"),
        ({"log_variance": (20, 13, 10, 7, 2, 0)}, "norm_acts_first", "partly"),
        ({"activation_norm": (20, 19, 7, 4, 2, 0)}, "norm_acts_first", "not reproduced"),
        (
            {"conditional_entropy_bottleneck": (20, 15, 8, 4, 2, 0)},
            "conditional_bottleneck_keeps_the_label",
            "partly",
        ),
        ({"log_variance": (20, 19, 15, 7, 2, 2.0)}, "collapse_where_theory_has_it", "partly"),
        ({"activation_norm": (20, 12, 7, 0.5, 0, 0)}, "collapse_where_theory_has_it", "partly"),
    ],
)
def test_each_claim_can_fail(changes, claim, answer):
    assert verdicts(made_up(changes))[claim] == answer


def test_claims_about_the_plane_can_fail():
    assert verdicts(made_up(share=0.5))["saturation"] == "partly"
    assert verdicts(made_up(share=2.0))["not_the_noise_alone"] == "not reproduced"
    assert verdicts(made_up(scaled_loss=-0.5))["more_than_scaling"] == "not reproduced"
    steady = made_up()
    for row in steady.rows:
        if row["regularizer"] == "activation_norm" and row["epoch"] < 8:
            row["h_z"] = row["epoch"] / 8
    assert verdicts(steady)["expansion_first"] == "not reproduced"
    late = made_up()
    late.rows = [row for row in late.rows if row["epoch"] > 1]
    late.rows += [row | {"epoch": 6} for row in late.rows if row["epoch"] == 4]
    assert verdicts(late)["expansion_first"] == "cannot be told"


def test_nothing_is_judged_without_rows():
    assert set(verdicts(Result([])).values()) == {"not run"}


def test_the_finding_names_three_entropies():
    assert "12.0 nats under the activation norm, 19.0" in fig5.finding(made_up())
    assert "0 logged steps" in fig5.finding(Result([]))
    assert made_up().summary["activation_norm_h_z"]["0.001"] == 12.0
    row = dict.fromkeys(surrogate.MEASURES, 1.0)
    assert set(fig5.tolerances(row, [])) == set(surrogate.MEASURES)


def test_all_changes_that_are_not_of_size_are_explained():
    size = {"train_images", "test_images", "seeds", "epochs", "width", "gammas", "points"}
    for chosen, network in ((fig5.SMOKE, "an MLP"), (fig5.QUICK, "a small CNN")):
        assert network in fig5.size(chosen)
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(fig5.Config(), field.name)
        }
        assert changed - size <= set(fig5.DIFFERENCES)
    assert "ResNet-18" in fig5.size(fig5.Config())
