"""Sweeps in parts: what a part is, what is refused, time that runs out, and work that is shared."""

import shutil
import sys
from dataclasses import replace

import pytest
import torch

from ibtutor import experiments, record
from ibtutor.experiments import _parts, _run, _work
from ibtutor.experiments._sweep import Sweep
from ibtutor.experiments.kirsch import fig3_permuted_mnist as mnist
from ibtutor.experiments.kudo import fig3_cifar10 as fig3
from ibtutor.experiments.kudo import fig6_occluded_cifar as fig6
from ibtutor.experiments.kudo import fig7_cluttered_mnist as fig7

ID = "kirsch_fig3_permuted_mnist"
TINY = {"width": 16, "num_categories": 10, "train_images": 300, "test_images": 100}
TINY |= {"seeds": (0, 1), "epochs": 3, "measure_every": 1}
IN_PARTS = [e for e in experiments.ids() if hasattr(experiments.load(e), "parts")]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Empty folders of one's own, and an experiment of six parts that takes a second."""
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(mnist, "SMOKE", replace(mnist.SMOKE, **TINY))
    return tmp_path


def names():
    return mnist.parts(mnist.SMOKE)


def made(count=6):
    """The sweep with its first parts."""
    sweep = Sweep(ID, "smoke")
    for name in names()[:count]:
        _work.run_one(sweep, name, device="cpu", progress=False)
    return sweep


# --- names and order -----------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", IN_PARTS)
@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_another_seed_leaves_the_parts_as_they_are(experiment, profile):
    module, config = experiments.load(experiment), experiments.profile_config(experiment, profile)
    more = replace(config, seeds=(*config.seeds, 999))
    before, after = _parts.names(module, config), _parts.names(module, more)
    assert len(before) == len(set(before)) > 1
    if _parts.seed_of(before[0]) is not None:
        assert set(before) < set(after)
        assert _parts.identity(module, config, before[0]) == (
            _parts.identity(module, more, before[0])
        )
        assert _parts.identity(module, config, before[0]) != (
            _parts.identity(module, replace(config, epochs=config.epochs + 1), before[0])
        )


def test_what_verdicts_need_comes_first():
    first = fig3.parts(fig3.Config())[:8]
    assert first[:4] == tuple(f"seed0-ls-{alpha}" for alpha in (0.0, 0.1, 0.5, 0.9))
    assert {_parts.kind_of(name) for name in first[4:]} == {"-cp-#", "-wd-#"}
    seeds = [_parts.seed_of(name) for name in fig3.parts(fig3.Config())]
    assert seeds == sorted(seeds)
    assert len(fig3.parts(fig3.SMOKE)) == 3  # an arm each: small networks train side by side


def test_pieces_of_another_run_are_refused(tmp_path):
    config = replace(mnist.SMOKE, **TINY | {"seeds": (0,), "epochs": 1})
    first = mnist.run(config, progress=False, resume=tmp_path)
    assert mnist.run(config, progress=False, resume=tmp_path).rows == first.rows
    with pytest.raises(record.RecordError, match=r"holds seed0-\S+ of another run \(lr: "):
        mnist.run(replace(config, lr=0.5), progress=False, resume=tmp_path)


@pytest.mark.parametrize(
    ("module", "network"),
    [
        (fig3, lambda c: fig3.build(c, fig3.load(c).train[0].shape[1])),
        (fig6, lambda c: fig6.model_maker(c, fig6.load_data(c)[0].images.shape[1:])()),
        (fig7, lambda c: fig7.model_maker(c, fig7.load_data(c)[0][0].images.shape[1:])()),
        (mnist, lambda c: mnist._sweep_of(c).make_network()),
    ],
)
def test_the_architecture_is_that_of_the_network_that_is_trained(module, network):
    assert module.architecture(module.SMOKE) == _parts.architecture(network(module.SMOKE))
    wider = replace(module.SMOKE, width=2 * module.SMOKE.width)
    assert module.architecture(wider) != module.architecture(module.SMOKE)


def test_an_unknown_part_is_refused():
    for module in (fig3, fig6, fig7, mnist):
        with pytest.raises(ValueError, match=r"no part 'seed7-ls-0\.3'"):
            module.run_part(module.SMOKE, "seed7-ls-0.3", progress=False)


@pytest.fixture(scope="module")
def all_parts():
    """Every part of a small sweep of each module."""
    configs = {
        fig3: replace(
            fig3.SMOKE,
            model="small_cnn",
            **{"width": 4, "train_images": 100, "test_images": 60, "alphas": (0.0, 0.1)},
            **{"penalty_alphas": (0.1,), "seeds": (0, 1), "epochs": 1, "other_augment": (0.1,)},
        ),
        fig6: replace(
            fig6.SMOKE,
            model="fitting_cnn",
            **{"width": 4, "train_size": 600, "test_size": 200, "probe_size": 600},
            **{"alphas": (0.0, 0.1), "epochs": 1, "probe_epochs": 1},
        ),
        fig7: replace(fig7.SMOKE, train_size=100, test_size=60, width=4, epochs=1),
        mnist: replace(mnist.SMOKE, **(TINY | {"epochs": 1})),
    }
    found = {}
    with _parts.kept():
        for module, config in configs.items():
            done = {
                name: module.run_part(config, name, progress=False) for name in module.parts(config)
            }
            found[module] = config, done
    return found


@pytest.mark.parametrize("module", [fig3, fig6, fig7, mnist])
def test_any_share_of_the_parts_can_be_judged(module, all_parts):
    config, done = all_parts[module]
    shares = [{name: part} for name, part in done.items()]
    shares += [dict(list(done.items())[:count]) for count in range(2, len(done) + 1)]
    shares += [dict(list(done.items())[count:]) for count in range(1, len(done))]
    for share in shares:
        result = module.assemble(config, share)
        for claim in module.CLAIMS:
            claim.verdict(result)
        assert module.finding(result)
        assert record.plain(result.summary) is not None


@pytest.mark.parametrize("module", [fig3, fig6, fig7, mnist])
def test_the_order_in_which_parts_came_changes_nothing(module, all_parts):
    config, done = all_parts[module]
    whole = module.assemble(config, done)
    turned = module.assemble(config, dict(reversed(done.items())))
    assert turned.rows == whole.rows
    assert turned.summary == whole.summary
    assert list(turned.arrays) == list(whole.arrays)
    plain = module.run(config, progress=False)
    assert plain.rows == whole.rows
    assert plain.fingerprints == whole.fingerprints


# --- files ---------------------------------------------------------------------------------------


def test_a_part_is_read_as_it_was_written(own):
    sweep = made(1)
    part = _parts.read(sweep.find(names()[0]))
    direct = mnist.run_part(mnist.SMOKE, names()[0], progress=False)
    assert part.rows == record.plain(direct.rows)
    assert part.provenance["data"] == direct.fingerprints
    assert part.provenance["seconds"] > 0
    assert part.identity["config"]["lr"] == mnist.SMOKE.lr
    assert not sweep.unfinished(names()[0]).exists()
    (own / "a file").write_text("")
    with pytest.raises(record.RecordError, match="cannot write"):
        _parts.write(own / "a file" / "part.json", part)


@pytest.mark.parametrize("damage", [lambda t: t[:200], lambda t: t.replace("0.", "1.", 1)])
def test_a_damaged_part_runs_again(own, damage, capsys):
    sweep = made(6)
    path = sweep.path(names()[2])
    whole = path.read_text()
    path.write_text(damage(whole))
    row = experiments.parts_of(ID, "smoke")[2]
    assert row["state"] == "refused"
    assert str(path) in row["detail"]
    experiments.execute(ID, "smoke", progress=False)
    assert "put aside, to be run again" in capsys.readouterr().err
    assert path.with_name(f"{path.name}.damaged").exists()
    found = experiments.recorded(ID, "smoke")
    assert found.rows == record.plain(mnist.run(mnist.SMOKE, progress=False).rows)


def test_a_part_of_other_settings_is_refused_by_name(own, monkeypatch):
    sweep = made(2)
    text = sweep.path(names()[0]).read_text()
    monkeypatch.setattr(mnist, "SMOKE", replace(mnist.SMOKE, lr=0.5))
    with pytest.raises(record.RecordError, match=r"part seed0-.*other settings.*lr: 0.001, now 0"):
        experiments.execute(ID, "smoke", progress=False)
    assert sweep.path(names()[0]).read_text() == text
    experiments.execute(ID, "smoke", progress=False, fresh=True)
    assert experiments.recorded(ID, "smoke").config["lr"] == 0.5


def test_a_part_of_another_network_or_of_other_data_is_refused_by_name(own, monkeypatch):
    sweep = made(3)
    plain = mnist.architecture
    monkeypatch.setattr(mnist, "architecture", lambda config: "another")
    _, refused = Sweep(ID, "smoke").done()
    assert all("another network" in why for why in refused.values())
    monkeypatch.setattr(mnist, "architecture", plain)
    part = _parts.read(sweep.path(names()[1]))
    other = replace(part, provenance=part.provenance | {"data": {"train": "x", "test": "y"}})
    _parts.write(sweep.path(names()[1]), other)
    done, refused = sweep.done()
    assert list(refused) == [names()[1]]
    assert "made with other data" in refused[names()[1]]
    assert set(done) == {names()[0], names()[2]}


def test_a_folder_that_cannot_be_written_is_one_message(own, monkeypatch):
    (own / "file").write_text("")
    monkeypatch.setenv("IBTUTOR_RECORDS", str(own / "file" / "records"))
    with pytest.raises(record.RecordError, match=r"cannot write .*set IBTUTOR_RECORDS"):
        experiments.execute(ID, "smoke", progress=False)


def test_a_card_without_enough_memory_is_one_message(own, monkeypatch, capsys):
    from ibtutor import cli

    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ibtutor.train.train_group", full)
    monkeypatch.setattr(sys, "argv", ["ibtutor", "run", ID, "--quiet"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert "out of memory on cpu: set or lower batch_size" in error
    assert error.count("\n") == 1


def test_fresh_runs_what_is_shipped_again(own, monkeypatch):
    """Also in a later call, beside other processes, and although a record is there."""
    made(6)
    experiments.execute(ID, "smoke", progress=False)
    made(6)
    shipped, mine = own / "shipped", own / "mine"
    shipped.mkdir()
    (own / "records").rename(shipped / "records")
    monkeypatch.setattr("ibtutor.experiments._sweep._SHIPPED", shipped / "records")
    monkeypatch.setattr(record, "_PACKAGE", shipped)
    monkeypatch.setenv("IBTUTOR_RECORDS", str(mine))
    assert Sweep(ID, "smoke").missing() == []
    assert experiments.complete(ID, "smoke")

    plain, calls = mnist.run_part, []

    def counted(config, part, **options):
        calls.append(part)
        if len(calls) == 3:
            raise RuntimeError("the third fails")
        return plain(config, part, **options)

    monkeypatch.setattr(mnist, "run_part", counted)
    with pytest.raises(RuntimeError, match="the third fails"):
        experiments.run_for([ID], "smoke", progress=False, fresh=True)
    monkeypatch.setattr(_run, "work", lambda *arguments, **options: None)  # no time is left
    (row,) = experiments.run_for([ID], "smoke", progress=False)
    assert (row["done"], row["of"]) == (2, 6)
    with pytest.raises(record.RecordError, match="was not finished"):
        experiments.execute(ID, "smoke", progress=False)
    monkeypatch.setattr(_run, "work", _work.work)
    (row,) = experiments.run_for([ID], "smoke", progress=False)
    assert (row["done"], row["of"]) == (6, 6)
    assert calls == [*names()[:3], *names()[2:]]
    assert record.find(ID, "smoke").parent == mine
    assert not (mine / "parts").exists()
    assert Sweep(ID, "smoke").missing() == []  # the shipped ones count again


# --- an unfinished record ------------------------------------------------------------------------


def test_some_parts_make_an_unfinished_record(own):
    with pytest.raises(record.RecordError, match="no smoke record"):
        experiments.recorded(ID, "smoke")
    made(3)
    found = experiments.recorded(ID, "smoke")
    assert found.share == "1 of 2 seeds"
    assert "1 of 2 seeds so far" in found.scale
    assert "1 of 2 seeds so far" in found.caption()
    assert list(found.parts) == list(names()[:3])
    assert not experiments.complete(ID, "smoke")
    words = repr(experiments.verdict_table(found)).splitlines()[1:]
    assert all("so far (1 of 2 seeds done);" in word or "not run;" in word for word in words)
    made(4)
    assert experiments.recorded(ID, "smoke").share == "4 of 6 parts"
    path = experiments.execute(ID, "smoke", progress=False)
    whole = experiments.recorded(ID, "smoke")
    assert whole.share == ""
    assert list(whole.parts) == list(names())
    assert path.is_file()
    assert not (own / "records" / "parts").exists()
    assert not list((own / "records" / ".partial").iterdir())


def test_the_ledger_never_takes_a_share_for_the_whole(own, monkeypatch):
    monkeypatch.setattr(mnist, "Config", lambda: mnist.SMOKE)
    monkeypatch.setattr("ibtutor.experiments._sweep._SHIPPED", own)
    monkeypatch.setattr(record, "_PACKAGE", own)
    sweep = Sweep(ID, "paper")
    for name in sweep.names[:5]:
        _work.run_one(sweep, name, device="cpu", progress=False)
    rows = [row for row in experiments.ledger() if row["experiment"] == ID]
    assert {row["verdict"] for row in rows} == {"not run"}
    assert any(row["so_far"].endswith(" so far (5 of 6 parts done)") for row in rows)
    (row,) = [row for row in experiments.pending() if row["experiment"] == ID]
    assert row["parts"] == "5 of 6 parts (paper)"
    assert row["recorded"] == "none"
    assert ID in experiments.queue()
    assert "1 begun at the paper's scale" in experiments.summary().text
    experiments.run_for([ID], "paper", progress=False)
    assert ID not in experiments.queue()
    assert all(sweep.find(name) for name in sweep.names)  # each keeps where it comes from
    assert {r["so_far"] for r in experiments.ledger() if r["experiment"] == ID} == {""}


def test_parts_of_several_machines_keep_their_origin(own):
    sweep = made(6)
    for name in names()[:2]:
        part = _parts.read(sweep.path(name))
        where = part.provenance | {"device": "a card", "commit": "f" * 40, "seconds": 100.0}
        _parts.write(sweep.path(name), replace(part, provenance=where))
    experiments.execute(ID, "smoke", progress=False)
    found = experiments.recorded(ID, "smoke")
    assert found.provenance["device"].startswith("a card; CPU")
    assert found.provenance["seconds"] >= 200
    assert [n for n in names() if found.parts[n]["device"] == "a card"] == list(names()[:2])
    assert found.parts[names()[0]]["commit"] == "f" * 40
    assert dict(found.origin())["parts"].startswith("2 on a card, 4 on CPU")
    assert dict(found.origin())["commit"].startswith("f" * 10 + ", ")


def test_the_queue_begins_with_what_is_most_wanted():
    wanted = experiments.queue()
    first = [e for e in _run.QUEUE if not experiments.complete(e, "paper")]
    assert wanted[: len(first)] == first
    assert len(wanted) == len(set(wanted))


# --- parts that somebody sends -------------------------------------------------------------------


def test_parts_are_taken_in_after_the_same_checks(own, monkeypatch):
    made(6)
    (own / "records" / "parts").rename(own / "sent")
    monkeypatch.setenv("IBTUTOR_RECORDS", str(own / "mine"))
    sweep = made(1)  # the same part, run here
    files = {name: own / "sent" / f"{ID}.smoke" / f"{name}.json" for name in names()}
    other = _parts.read(files[names()[0]])
    _parts.write(files[names()[0]], replace(other, rows=other.rows[:-1]))
    files[names()[1]].write_text(files[names()[1]].read_text()[:50])
    other = _parts.read(files[names()[2]])
    settings = other.identity | {"config": other.identity["config"] | {"lr": 7.0}}
    _parts.write(files[names()[2]], replace(other, identity=settings))
    other = _parts.read(files[names()[3]])
    data = {"train": "0", "test": "0"}
    _parts.write(files[names()[3]], replace(other, provenance=other.provenance | {"data": data}))
    rows = {
        row["file"].split("/")[-1].removesuffix(".json"): row
        for row in (experiments.take_in(own / "sent"))
    }
    assert [rows[name]["state"] for name in names()] == ["refused"] * 4 + ["taken"] * 2
    for name, said in zip(
        names(), ("there already with other", "truncated", "lr: 7.0", "other data"), strict=False
    ):
        assert said in rows[name]["detail"]
    assert len(sweep.missing()) == 3
    rows = experiments.take_in(own / "sent")
    assert [row["state"] for row in rows].count("there already") == 2


def test_a_part_of_ones_own_that_is_refused_is_not_overwritten(own):
    sweep = made(2)
    shutil.copytree(own / "records" / "parts", own / "sent")
    path = sweep.path(names()[0])
    mine = _parts.read(path)
    settings = mine.identity | {"config": mine.identity["config"] | {"lr": 7.0}}
    _parts.write(path, replace(mine, identity=settings))
    text = path.read_text()
    rows = {row["file"].split("/")[-1]: row for row in experiments.take_in(own / "sent")}
    row = rows[path.name]
    assert row["state"] == "refused"
    assert str(path) in row["detail"]
    assert "lr: 7.0, now 0.001" in row["detail"]
    assert "move it away first" in row["detail"]
    assert path.read_text() == text
    path.rename(own / "away")
    experiments.take_in(own / "sent")
    assert _parts.read(path) == mine


def test_parts_that_make_a_record_complete_write_it(own, monkeypatch):
    made(6)
    (own / "records" / "parts").rename(own / "sent")
    assert all(row["state"] == "taken" for row in experiments.take_in(own / "sent"))
    assert experiments.complete(ID, "smoke")


def test_a_folder_without_parts_is_refused(own):
    with pytest.raises(ValueError, match="is no folder"):
        experiments.take_in(own / "nowhere")
    with pytest.raises(ValueError, match="there is no part in"):
        experiments.take_in(own)
