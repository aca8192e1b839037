from dataclasses import fields, replace

import pytest
import torch

from ibtutor import data, experiments, train
from ibtutor._training.loop import loss_of
from ibtutor.experiments import Result
from ibtutor.experiments.yi import _losses, _networks, _table3_claims, _training
from ibtutor.experiments.yi import table3_cifar10 as table3

TINY = replace(table3.SMOKE, train_size=96, test_size=40, holdout=32, epochs=1, batch_size=32)
CLAIMS = {claim.id: claim for claim in table3.CLAIMS}


@pytest.fixture(scope="module")
def tiny():
    return table3.run(TINY, progress=False)


def test_a_tiny_run_has_every_network_loss_and_rate(tiny):
    seen = [(row["loss"], row["lr"], row["seed"]) for row in tiny.rows]
    arms = [("ce", 1e-3), ("ce", 1e-2), ("lsr", 1e-3), ("mil", 1e-3), ("ce_short", 1e-2)]
    assert seen == [(*arm, seed) for arm in arms for seed in (0, 1)]
    assert {row["network"] for row in tiny.rows} == {"shufflenet_v2"}
    assert tiny.summary["lr"] == 1e-3
    assert set(tiny.summary["rates"]["shufflenet_v2"]) == {"ce", "ce_short"}
    assert tiny.summary["full"] is False
    assert tiny.summary["tuned"] == ["shufflenet_v2"]
    assert tiny.summary["measured_epochs"] == [1]
    assert {key: value.shape for key, value in tiny.arrays.items()} == {
        f"shufflenet_v2_{loss}": (2, 1, len(_training.QUANTITIES)) for loss in ("ce", "mil")
    }
    for row in tiny.rows:
        assert 0 <= row["accuracy"] <= 1
        assert round(32 * row["held_accuracy"]) == pytest.approx(32 * row["held_accuracy"])
    for claim in table3.CLAIMS:
        claim.verdict(tiny)


def test_what_is_missing_is_left_out(tiny):
    names = table3.parts(TINY)
    assert names[:2] == ("seed0-shufflenet_v2-ce-0.001", "seed1-shufflenet_v2-ce-0.001")
    assert names[-4:] == tuple(  # the controls come last
        f"seed{seed}-shufflenet_v2-ce-0.01{short}" for short in ("", "-epochs1") for seed in (0, 1)
    )
    assert len(set(names)) == len(names) == 10
    one = table3.run_part(TINY, names[2], progress=False)
    found = table3.assemble(TINY, {names[2]: one})
    row = next(r for r in tiny.rows if (r["loss"], r["seed"]) == ("mil", 0))
    assert found.rows == [row]
    assert found.arrays["shufflenet_v2_mil"].tolist() == (
        tiny.arrays["shufflenet_v2_mil"][:1].tolist()
    )
    assert found.summary["rates"] == {}
    for result in (found, table3.assemble(TINY, {})):
        assert table3.finding(result) == "Too few seeds to tell."
        for claim in table3.CLAIMS:
            claim.verdict(result)


def test_a_rate_at_which_it_diverges_is_a_row_that_is_no_better_than_a_guess():
    config = replace(TINY, rates=(1e-3, 1e20), epochs=2, measure_every=2)
    (row,) = table3.run_part(config, "seed0-shufflenet_v2-ce-1e+20", progress=False).rows
    assert row["accuracy"] < 0.2
    assert row["held_accuracy"] < 0.3
    assert row["ce"] is row["information"] is None


def test_no_run_trains_on_the_images_held_out():
    task, fingerprints = table3.load(TINY)
    whole, test = data.digits("train").take(96), data.digits("test").take(40)
    assert torch.equal(task.train[0], whole.images[:64])
    assert torch.equal(task.test[0], torch.cat([whole.images[64:], test.images]))
    assert torch.equal(task.test[1], torch.cat([whole.labels[64:], test.labels]))
    assert fingerprints["test"] == data.fingerprint(*test)


def test_the_paper_s_scale():
    paper = table3.Config()
    assert len(table3.parts(paper)) == 3 * 5 * (5 + 3 + 4 + 2)
    assert table3.size(paper) == "50,000 images, 5 networks, 100 epochs"
    assert table3.size(table3.QUICK) == "12,288 images, 3 networks, 12 epochs"


def test_a_network_that_is_not_tuned_has_the_paper_s_rate_alone():
    tuned = replace(TINY, networks=("shufflenet_v2", "resnet18"))
    there = [p for p in table3.plan(tuned).values() if p[0] == "resnet18"]
    assert {(loss, lr) for _, loss, lr, _ in there} == {(loss, 1e-3) for loss in TINY.losses}
    both = table3.plan(replace(tuned, tuned=tuned.networks))
    assert len(both) == 2 * len(table3.parts(TINY))


def test_the_short_control_is_cross_entropy_for_fewer_epochs():
    """After as many epochs as it has, at its rate, a run of the table has the same weights."""
    config = replace(TINY, epochs=2, measure_every=1, rates=(1e-3, 1e-2))
    (short,) = table3.run_part(config, "seed0-shufflenet_v2-ce-0.01-epochs1", progress=False).rows
    assert short["setting"] == "rate 0.01, 1 epochs"
    brief = replace(config, epochs=1)
    (row,) = table3.run_part(brief, "seed0-shufflenet_v2-ce-0.01", progress=False).rows
    names = ("accuracy", "held_accuracy", "ce", "train_ce", "lr", "seed", "network")
    assert [short[name] for name in names] == pytest.approx([row[name] for name in names])
    (whole,) = table3.run_part(config, "seed0-shufflenet_v2-ce-0.01", progress=False).rows
    assert whole["train_ce"] != pytest.approx(short["train_ce"], rel=1e-3)


@pytest.mark.parametrize("name", list(_networks.NAMES))
def test_networks_take_small_images(name):
    network = _networks.build(name)().eval()
    seen = []
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape[2:])))
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert seen[0] == (32, 32)
    assert network.training is False


@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet_v2", "efficientnet_b0"])
def test_the_network_is_torchvision_s(name):
    """What is quicker on a CPU changes no output and no gradient."""
    results = []
    for build in (_networks.build(name), lambda: _networks._MAKERS[name](3, 10)):
        torch.manual_seed(0)
        network = build().double().eval()  # no dropout
        logits = network(torch.randn(2, 3, 32, 32, dtype=torch.float64))
        gradients = torch.autograd.grad(logits.square().sum(), list(network.parameters()))
        results.append((list(network.state_dict()), logits, *gradients))
    torch.testing.assert_close(results[0][1:], results[1][1:], rtol=1e-9, atol=1e-12)
    assert results[0][0] == results[1][0]


@pytest.mark.parametrize(("name", "count"), [("mobilenet_v2", 3), ("shufflenet_v2", 6)])
def test_strided_depthwise_layers_are_in_single_precision_on_a_cpu(name, count):
    """A layer equals the one it stands for, with and without autocast; it keeps the type."""
    network = _networks.build(name)()
    layers = [layer for layer in network.modules() if type(layer) is _networks._StridedDepthwise]
    assert len(layers) == count
    layer, generator = layers[0], torch.Generator().manual_seed(0)
    images = torch.randn(4, layer.in_channels, 8, 8, generator=generator).bfloat16()
    upstream = torch.randn(4, layer.in_channels, 4, 4, generator=generator).bfloat16()
    weight = layer.weight.detach().double().requires_grad_()
    exact = torch.nn.functional.conv2d(
        images.double(), weight, stride=2, padding=1, groups=layer.groups
    )
    (exact_gradient,) = torch.autograd.grad(exact, weight, upstream.double())
    for precision, slack in ((torch.float32, 1e-5), (torch.bfloat16, 2**-8)):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            given = layer(images.to(precision))
        assert given.dtype is precision
        (gradient,) = torch.autograd.grad(given, layer.weight, upstream.to(precision))
        torch.testing.assert_close(given.double(), exact, rtol=slack, atol=1e-5)
        # The gradient is not rounded to half precision on its way, autocast or not.
        torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-4)


def made_up(mil, ce, own_mil=0.8, own_ce=0.8, others=0.6, network="mobilenet_v2"):
    """Result of a run that never was; each accuracy with three seeds around it."""
    arms = {("mil", 1e-3): mil, ("ce", 1e-3): ce, ("mil", 1e-2): own_mil, ("ce", 1e-1): own_ce}
    arms |= {(loss, 1e-3): others for loss in ("lsr", "cp", "lc")}
    rows = [
        {"network": network, "loss": loss, "lr": lr, "seed": seed}
        | {"accuracy": value + 0.001 * (seed * (2 if loss == "mil" else 1)), "held_accuracy": value}
        | {"first_accuracy": value / 2, "rank": -value}
        for (loss, lr), value in arms.items()
        for seed in range(3)
    ]
    summary = {"lr": 1e-3, "full": True, "rates": {network: {"mil": 1e-2, "ce": 1e-1}}}
    return Result(rows, summary | {"measured_epochs": [3, 6, 9]})


def judged(name, result):
    return CLAIMS[name].verdict(result)


def test_the_gain_and_its_control():
    found = judged("gain", made_up(0.76, 0.68))
    assert found["verdict"] == "reproduced"
    assert found["controls"] == {"own learning rates": "no"}
    assert judged("gain", made_up(0.76, 0.68, 0.9, 0.8))["controls"]["own learning rates"] == "yes"
    assert judged("gain", made_up(0.60, 0.68))["verdict"] == "not reproduced"
    both = made_up(0.76, 0.68)
    both.rows += made_up(0.60, 0.68, network="resnet18").rows
    assert judged("gain", both)["verdict"] == "partly"
    assert judged("large_gain", both)["verdict"] == "partly"
    assert judged("large_gain", made_up(0.76, 0.68))["verdict"] == "reproduced"
    assert judged("large_gain", made_up(0.70, 0.68))["verdict"] == "not reproduced"


def test_the_finding_says_what_there_is():
    found = made_up(0.76, 0.68)
    assert table3.finding(found).startswith("milLoss minus cross-entropy, accuracy in points: ")
    assert "MobileNetV2 +8.1 (own rates " in table3.finding(found)
    del found.summary["rates"]["mobilenet_v2"]["mil"]
    assert "MobileNetV2 +8.1" in table3.finding(found)
    assert "MobileNetV2 +8.1 (" not in table3.finding(found)


def test_the_table_sets_ours_below_the_papers_and_leaves_out_what_was_not_run():
    found = made_up(0.76, 0.68, own_ce=0.81)
    found.rows = [row for row in found.rows if row["loss"] != "cp"]
    told = table3.table(found)
    mobile = told.loc["MobileNetV2"]
    assert list(mobile.index) == ["paper", "ours, 0.001", "ours, own rate"]
    assert list(mobile["milLoss"]) == ["0.762 ± 0.006", "0.762 ± 0.002", "0.802 ± 0.002"]
    assert list(mobile["cross-entropy"]) == ["0.676 ± 0.007", "0.681 ± 0.001", "0.811 ± 0.001"]
    assert list(mobile["confidence penalty"]) == ["0.660 ± 0.008", "", ""]
    assert list(told.loc["ShuffleNetV2"].index) == ["paper"]
    del found.summary["rates"]["mobilenet_v2"]  # not tuned: no line without a cell
    assert list(table3.table(found).loc["MobileNetV2"].index) == ["paper", "ours, 0.001"]
    assert "ResNet-18" not in told.index  # its cells have no columns
    assert list(table3.table(made_up(0.7, 0.6, network="resnet18")).loc["ResNet-18"].index) == [
        "ours, 0.001",
        "ours, own rate",
    ]


def test_the_short_control_has_a_line_and_a_verdict():
    def with_short(best):
        found = made_up(0.76, 0.68)
        found.rows += [
            {"network": "mobilenet_v2", "loss": "ce_short", "lr": lr, "seed": seed}
            | {"accuracy": value + 0.001 * seed, "setting": f"rate {lr:g}, 10 epochs"}
            for lr, value in ((1e-2, best), (1e-1, 0.3))
            for seed in range(3)
        ]
        found.summary["rates"]["mobilenet_v2"]["ce_short"] = 1e-2
        return found

    line = table3.table(with_short(0.8)).loc["MobileNetV2", "ours, rate 0.01, 10 epochs"]
    assert list(line) == ["0.801 ± 0.001", "", "", "", ""]
    assert judged("short", with_short(0.8))["verdict"] == "reproduced"
    assert judged("short", with_short(0.7))["verdict"] == "not reproduced"
    assert judged("short", made_up(0.76, 0.68))["verdict"] == "not run"
    assert judged("gain", with_short(0.8)) == judged("gain", made_up(0.76, 0.68))


def test_accuracies_on_held_out_images_are_by_rate():
    found = made_up(0.76, 0.68, own_mil=0.81, own_ce=0.8)
    found.rows += made_up(0.5, 0.4, network="resnet18").rows[:6]  # the paper's rate alone
    told = table3.held_out_table(found)
    assert list(told.columns) == [1e-3, 1e-2, 1e-1]
    assert list(told.loc["MobileNetV2", "milLoss"]) == ["0.760 ± 0.000", "0.810 ± 0.000", ""]
    assert list(told.loc["MobileNetV2", "cross-entropy"]) == ["0.680 ± 0.000", "", "0.800 ± 0.000"]
    assert len(told) == 2
    found.rows = [row for row in found.rows if row["lr"] == 1e-3 or row["seed"] == 0]
    assert table3.held_out_table(found).loc["MobileNetV2", "milLoss"][1e-2] == "0.810 (one seed)"
    assert table3.held_out_table(Result([], {})).empty


def test_the_other_claims():
    found = made_up(0.76, 0.68)
    assert judged("no_gain_elsewhere", found)["verdict"] == "reproduced"
    assert judged("no_gain_elsewhere", made_up(0.7, 0.6, others=0.7))["verdict"] == "not reproduced"
    assert judged("learning_rate", found)["verdict"] == "reproduced"
    assert judged("learning_rate", made_up(0.9, 0.68))["verdict"] == "not reproduced"
    assert judged("cells", found)["verdict"] == "not run"  # of one network of three
    for network in ("efficientnet_b0", "shufflenet_v2"):
        found.rows += made_up(0.76, 0.68, network=network).rows
    assert judged("cells", found)["verdict"] == "partly"  # .762 and .676 are near, not .6
    found = made_up(0.76, 0.68)
    assert judged("slower", found)["verdict"] == "not reproduced"
    assert judged("slower", made_up(0.6, 0.68))["verdict"] == "reproduced"
    assert judged("information_and_error", made_up(0.9, 0.8))["verdict"] == "reproduced"
    assert judged("information_and_error", found)["verdict"] == "not reproduced"
    found.summary["full"] = False
    assert judged("cells", found)["verdict"] == "not run"
    found.summary["measured_epochs"] = [12]  # the end alone
    for name in ("slower", "information_and_error"):
        assert judged(name, found)["verdict"] == "not run"
    nothing = Result([], {})
    assert {judged(name, nothing)["verdict"] for name in CLAIMS} == {"not run"}


def test_what_is_missing_counts():
    found = made_up(0.76, 0.68, 0.9, 0.8)
    found.rows += made_up(0.76, 0.68, network="resnet18").rows
    assert judged("no_gain_elsewhere", found)["verdict"] == "reproduced"
    assert judged("gain", found)["controls"] == {"own learning rates": "not run"}  # of ResNet-18
    rows = found.rows
    found.rows = [row for row in rows if row["loss"] != "lc"]
    assert judged("no_gain_elsewhere", found)["verdict"] == "partly"
    # Label smoothing with one network, as in an unfinished record.
    found.rows = [
        row
        for row in rows
        if row["loss"] in ("ce", "mil") or (row["loss"], row["network"]) == ("lsr", "resnet18")
    ]
    assert judged("no_gain_elsewhere", found)["verdict"] == "not run"
    found.rows = [row for row in rows if row["network"] != "resnet18" or row["seed"] == 0]
    for name in ("gain", "large_gain"):
        assert judged(name, found)["verdict"] == "partly"
        assert "missing" in judged(name, found)["changed"]
        # A network that was not begun is none of those that were run, as each claim says.
        assert "nothing was run" in judged(name, found)["changed"]


def test_the_own_rate_is_the_best_on_images_held_out():
    rows = [
        {"network": "resnet18", "loss": "ce", "lr": lr, "seed": seed, "held_accuracy": value}
        for lr, value in ((1e-3, 0.5), (1e-2, 0.7), (1e-1, 0.9))
        for seed in range(3)
    ]
    rates, seeds = (1e-3, 1e-2, 1e-1), (0, 1, 2)
    whole = _table3_claims.held_out(rows, "resnet18", "ce", rates, seeds)
    assert whole == pytest.approx({1e-3: 0.5, 1e-2: 0.7, 1e-1: 0.9})
    # A rate or a seed is missing: the best of those there are may not be the best.
    assert _table3_claims.held_out(rows[:-1], "resnet18", "ce", rates, seeds) == {}
    assert _table3_claims.held_out(rows[:-3], "resnet18", "ce", rates, seeds) == {}


def test_there_is_no_own_rate_before_all_are_tried(tiny):
    config = replace(TINY, rates=(1e-3, 3e-3, 1e-2))
    rows = {(row["seed"], row["loss"]): row for row in tiny.rows}
    done = {
        name: Result([rows[seed, loss] | {"lr": lr, "held_accuracy": lr}])
        for name, (_, loss, lr, seed) in table3.plan(config).items()
    }
    assert table3.assemble(config, done).summary["rates"]["shufflenet_v2"]["ce"] == 1e-2
    del done["seed1-shufflenet_v2-ce-0.01"]
    found = table3.assemble(config, done)  # two rates are whole, and the best is not
    assert "ce" not in found.summary["rates"].get("shufflenet_v2", {})
    assert judged("learning_rate", found)["verdict"] == "not run"


def test_the_short_control_has_its_own_rate_once_all_are_tried(tiny):
    rows = {row["seed"]: row for row in tiny.rows if row["loss"] == "ce_short"}
    assert tiny.summary["rates"]["shufflenet_v2"]["ce_short"] == 1e-2  # of one
    assert "ce_short" not in tiny.summary["edge"].get("shufflenet_v2", [])
    config = replace(TINY, short_rates=(1e-2, 1e-1))
    done = {
        name: Result([rows[seed] | {"lr": lr, "held_accuracy": 1 - lr}])
        for name, (_, loss, lr, seed) in table3.plan(config).items()
        if loss == "ce_short"
    }
    found = table3.assemble(config, done)
    assert found.summary["rates"]["shufflenet_v2"]["ce_short"] == 1e-2
    assert found.summary["edge"] == {}
    line = table3.held_out_table(found).loc["ShuffleNetV2", "cross-entropy, short"]
    assert list(line) == ["0.990 ± 0.000", "0.900 ± 0.000"]
    del done["seed1-shufflenet_v2-ce-0.1-epochs1"]
    assert table3.assemble(config, done).summary["rates"] == {}


def test_claims_on_own_rates_are_about_tuned_networks():
    found = made_up(0.76, 0.68, 0.9, 0.8)
    found.rows += [r for r in made_up(0.76, 0.68, network="resnet18").rows if r["lr"] == 1e-3]
    assert judged("learning_rate", found)["verdict"] == "partly"  # of records that do not say
    found.summary["tuned"] = ["mobilenet_v2"]
    assert judged("learning_rate", found)["verdict"] == "reproduced"
    assert judged("gain", found)["controls"] == {"own learning rates": "yes"}
    found.rows += [
        {"network": "mobilenet_v2", "loss": "ce_short", "lr": 1e-2, "seed": seed, "accuracy": 0.8}
        for seed in range(3)
    ]
    found.summary["rates"]["mobilenet_v2"]["ce_short"] = 1e-2
    assert judged("short", found)["verdict"] == "reproduced"


def test_the_tuned_networks_are_those_that_were_run(tiny):
    config = replace(TINY, networks=("shufflenet_v2", "resnet18"))
    assert table3.assemble(config, {}).summary["tuned"] == []
    done = {
        f"seed0-{network}-ce-0.001": Result([tiny.rows[0] | {"network": network}])
        for network in config.networks
    }
    assert table3.assemble(config, done).summary["tuned"] == ["shufflenet_v2"]


def test_bad_input():
    with pytest.raises(ValueError, match=r"tuned must be of googlenet, .* got resnet-18"):
        table3.parts(replace(TINY, tuned=("resnet-18",)))
    with pytest.raises(ValueError, match="arm must be"):
        table3.gap(made_up(0.7, 0.6), "mobilenet_v2", "best rate")
    with pytest.raises(ValueError, match="network must be one of googlenet, resnet18"):
        _networks.build("vgg16")
    with pytest.raises(ValueError, match="dataset must be cifar10 or digits, got 'mnist'"):
        table3.run(replace(TINY, dataset="mnist"), progress=False)
    with pytest.raises(
        ValueError, match=r"holdout must lie in 1\.\.95 \(below train_size\), got 96"
    ):
        table3.run(replace(TINY, holdout=96), progress=False)


def test_all_changes_that_are_not_of_size_are_explained():
    paper = table3.Config()
    for profile in ("smoke", "quick"):
        chosen = experiments.profile_config("yi_table3_cifar10", profile)
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(paper, field.name)
        }
        assert changed - {"train_size", "test_size", "epochs", "seeds"} <= set(table3.DIFFERENCES)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_step_reads_nothing_from_its_device(name):
    """A meta tensor has no values: whatever would wait for a device raises."""
    network = _networks.build(name)().to("meta").train()
    for loss in _losses.NAMES:
        how, strength = _losses.arm(loss, eps=0.1, lam=50.0, batch_size=8)
        logits = network(torch.zeros(8, 3, 32, 32, device="meta"))
        labels = torch.zeros(8, dtype=torch.int64, device="meta")
        loss_of(train.Run(strength, 0, loss=how), logits, labels).backward()
