"""The folder of real data: what `check` says of it and how `get` fills it."""

import dataclasses
import errno
import hashlib
import http.client
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from ibtutor import data
from ibtutor.data import sources, store
from ibtutor.data.sources import Source

CONTENT = b"a small file that stands for a data set\n" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("IBTUTOR_DATA", str(tmp_path))
    return tmp_path


def register(monkeypatch, fetch):
    monkeypatch.setitem(sources.SOURCES, "tiny", Source("tiny", {"file.bin": MD5}, fetch))


def write(staging: Path, content: bytes = CONTENT) -> None:
    (staging / "tiny").mkdir(parents=True, exist_ok=True)
    (staging / "tiny" / "file.bin").write_bytes(content)


def test_root_is_the_chosen_folder_else_the_users_cache(folder, monkeypatch):
    assert data.root() == folder
    monkeypatch.delenv("IBTUTOR_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(store.sys, "platform", "linux")
    assert data.root() == folder / "cache" / "ibtutor"


@pytest.mark.parametrize("name", data.names())
def test_an_empty_folder_is_missing_everything(folder, name):
    status = data.check(name)
    assert status.state == "missing"
    assert f"ibtutor data get {name}" in status.message
    assert str(folder) in status.message


def test_get_downloads_checks_and_is_then_ok(folder, monkeypatch):
    register(monkeypatch, write)
    assert data.check("tiny").state == "missing"
    assert data.get("tiny") == folder / "tiny"
    assert data.check("tiny").state == "ok"
    assert not list(folder.glob(".*"))


def test_get_leaves_whole_data_alone(folder, monkeypatch):
    register(monkeypatch, write)
    data.get("tiny")

    def never(staging):
        raise AssertionError("downloaded again")

    register(monkeypatch, never)
    assert data.get("tiny") == folder / "tiny"


def test_an_interrupted_download_leaves_nothing_and_starts_again(folder, monkeypatch):
    def interrupted(staging):
        write(staging, CONTENT[:100])
        raise KeyboardInterrupt

    register(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.get("tiny")
    assert data.check("tiny").state == "missing"
    register(monkeypatch, write)
    data.get("tiny")
    assert data.check("tiny").state == "ok"


def test_what_a_download_left_half_written_is_never_moved_into_place(folder, monkeypatch):
    """Also where the library takes a file that is there for a whole one."""

    def fetch(staging):
        if not (staging / "tiny" / "file.bin").exists():
            write(staging)

    register(monkeypatch, fetch)
    write(folder / ".tiny.partial", CONTENT[:100])
    data.get("tiny")
    assert (folder / "tiny" / "file.bin").read_bytes() == CONTENT


def test_a_transfer_that_breaks_is_one_message(folder, monkeypatch):
    def broken(staging):
        raise http.client.IncompleteRead(b"half", 100)

    register(monkeypatch, broken)
    with pytest.raises(data.DataError, match="could not download tiny"):
        data.get("tiny")


def test_damaged_files_are_told_apart_and_set_aside(folder, monkeypatch):
    register(monkeypatch, write)
    data.get("tiny")
    (folder / "tiny" / "file.bin").write_bytes(CONTENT[:-1])
    status = data.check("tiny")
    assert status.state == "corrupt"
    assert "checksum" in status.message
    data.get("tiny")
    assert data.check("tiny").state == "ok"
    assert (folder / "tiny.corrupt" / "file.bin").read_bytes() == CONTENT[:-1]


def test_what_no_download_brings_stays(folder, monkeypatch):
    write(folder, CONTENT[:-1])
    (folder / "tiny" / "mine.npy").write_bytes(b"not published")
    register(monkeypatch, write)
    data.get("tiny")
    assert data.check("tiny").state == "ok"
    assert (folder / "tiny" / "mine.npy").read_bytes() == b"not published"
    assert [path.name for path in (folder / "tiny.corrupt").iterdir()] == ["file.bin"]


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(folder, monkeypatch):
    (folder / "file").write_text("no folder")
    monkeypatch.setenv("IBTUTOR_DATA", str(folder / "file" / "data"))
    register(monkeypatch, write)
    with pytest.raises(data.DataError, match="cannot be written: Not a directory") as caught:
        data.get("tiny")
    assert str(folder / "file" / "data") in str(caught.value)


def test_a_full_disk_is_named_with_the_reason(folder, monkeypatch):
    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    register(monkeypatch, write)
    for name in ("move", "copyfile"):
        monkeypatch.setattr(store.shutil, name, full)
    monkeypatch.setattr(store.os, "replace", full)
    with pytest.raises(data.DataError, match="cannot be written: No space left") as caught:
        data.get("tiny")
    assert str(folder / "tiny") in str(caught.value)


def test_a_file_that_cannot_be_read_is_corrupt(folder, monkeypatch):
    def broken(path, like):
        raise OSError(errno.EIO, "Input/output error")

    register(monkeypatch, write)
    write(folder)
    monkeypatch.setattr(store, "_digest", broken)
    status = data.check("tiny")
    assert status.state == "corrupt"
    assert f"{folder / 'tiny' / 'file.bin'} cannot be read: Input/output" in status.message


def test_an_unchanged_file_is_read_once_and_a_changed_one_again(folder, monkeypatch):
    register(monkeypatch, write)
    write(folder)
    digest, read = store._digest, []
    monkeypatch.setattr(store, "_digest", lambda *a: (read.append(a), digest(*a))[1])
    for _ in range(3):
        assert store.ready("tiny") == folder / "tiny"
    assert len(read) == 1
    write(folder, CONTENT[:-1])
    with pytest.raises(data.DataError, match=r"tiny is damaged.*file\.bin has checksum"):
        store.ready("tiny")
    assert len(read) == 2


def test_a_download_with_the_wrong_content_is_an_error(folder, monkeypatch):
    register(monkeypatch, lambda staging: write(staging, b"something else"))
    with pytest.raises(data.DataError, match=r"not whole, and dropped: .* has checksum"):
        data.get("tiny")
    assert not (folder / "tiny").exists()
    assert not (folder / ".tiny.partial").exists()


def test_no_network_says_what_to_run_and_what_to_copy(folder, monkeypatch):
    def offline(staging):
        raise OSError("Name or service not known")

    register(monkeypatch, offline)
    with pytest.raises(data.DataError, match="ibtutor data get tiny") as caught:
        data.get("tiny")
    assert "copy the folder tiny" in str(caught.value)
    assert "no server could be reached" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_long_reason_is_cut_and_stays_in_the_chain(folder, monkeypatch):
    def broken(staging):
        raise OSError("the disk\n" + 100 * "is full ")

    register(monkeypatch, broken)
    with pytest.raises(data.DataError, match="tiny: the disk; with") as caught:
        data.get("tiny")
    assert "is full is full" in str(caught.value.__cause__)


def test_mirrors_that_fail_are_one_sentence_and_every_one_is_kept(folder, monkeypatch, capfd):
    pytest.importorskip("pooch")
    dead = [f"http://127.0.0.1:9/{n}" for n in "ab"]
    monkeypatch.setattr(sources, "CIFAR10H_MIRRORS", dead)
    with pytest.raises(data.DataError, match="no server could be reached") as caught:
        data.get("cifar10h")
    assert dead[0] not in str(caught.value)
    notes = caught.value.__cause__.__notes__
    assert [note.startswith(url) for note, url in zip(notes, dead, strict=True)] == [True, True]
    assert capfd.readouterr().err.strip() == ""


def test_an_unknown_name_is_refused(folder):
    with pytest.raises(ValueError, match="cifar10, cifar100"):
        data.check("imagenet")


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (data.cifar10, "cifar10"),
        (data.cifar100, "cifar100"),
        (data.mnist, "mnist"),
        (data.flowers102, "flowers102"),
        (data.cifar10h_counts, "cifar10h"),
    ],
)
def test_loaders_without_data_say_which_file_and_what_to_run(folder, load, name):
    with pytest.raises(data.DataError, match=f"ibtutor data get {name}") as caught:
        load()
    assert str(folder) in str(caught.value)


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the first answers of a path that begins with /cut stop in the middle."""

    def do_GET(self):
        cut = self.path.startswith("/cut")
        self.send_response(404 if self.path.startswith("/gone") else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if cut else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_cifar10h_tries_one_mirror_after_the_other(folder, monkeypatch, server):
    pytest.importorskip("pooch")
    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setattr(sources, "CIFAR10H_SHA256", digest)
    mirrors = (f"{server}/gone", f"{server}/cut", f"{server}/whole")
    monkeypatch.setattr(sources, "CIFAR10H_MIRRORS", mirrors)
    changed = Source("cifar10h", {"cifar10h-counts.npy": digest}, sources._fetch_cifar10h)
    monkeypatch.setitem(sources.SOURCES, "cifar10h", changed)
    data.get("cifar10h")
    assert (folder / "cifar10h" / "cifar10h-counts.npy").read_bytes() == CONTENT
    assert data.check("cifar10h").state == "ok"


def test_cifar10h_without_a_working_mirror_names_them(folder, monkeypatch, server):
    pytest.importorskip("pooch")
    monkeypatch.setattr(sources, "CIFAR10H_MIRRORS", (f"{server}/gone", f"{server}/cut"))
    with pytest.raises(data.DataError, match="none of 2 mirrors") as caught:
        data.get("cifar10h")
    gone, cut = caught.value.__cause__.__notes__
    assert "/gone" in gone
    assert "/cut" in cut
    assert data.check("cifar10h").state == "missing"


def _write_cifar10(folder: Path, monkeypatch, count: int) -> None:
    """A CIFAR-10 folder of `count` images a file, with its own checksums."""
    import pickle

    from torchvision.datasets import CIFAR10

    place = folder / "cifar-10-batches-py"
    place.mkdir()
    files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for index, name in enumerate(files):
        images = torch.full((count, 3072), index, dtype=torch.uint8).numpy()
        content = {"data": images, "labels": [index % 10] * count}
        (place / name).write_bytes(pickle.dumps(content))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    sums = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in place.iterdir()}
    changed = dataclasses.replace(sources.SOURCES["cifar10"], files=sums)
    monkeypatch.setitem(sources.SOURCES, "cifar10", changed)
    monkeypatch.setattr(CIFAR10, "train_list", [[f, sums[f]] for f in files[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[files[5], sums[files[5]]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})


def test_cifar10_is_uint8_in_memory_with_int64_labels(folder, monkeypatch):
    _write_cifar10(folder, monkeypatch, 20)
    images, labels = data.cifar10("train")
    assert images.shape == (100, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [20] * 5
    assert bool((images[labels == 3] == 3).all())
    assert data.cifar10("test").images.shape == (20, 3, 32, 32)


def _write_mnist(folder: Path, *, counts: dict[str, int], magic: int = 0x0800) -> dict[str, str]:
    """MNIST's four files: every pixel and label of image i is i modulo 10; their checksums."""
    place = folder / "MNIST" / "raw"
    place.mkdir(parents=True)
    for part, count in counts.items():
        marks = (np.arange(count) % 10).astype(np.uint8)
        for kind, sides in (("images-idx3", (28, 28)), ("labels-idx1", ())):
            head = np.array([magic + 1 + len(sides), count, *sides], ">i4").tobytes()
            pixels = np.repeat(marks, 784) if sides else marks
            (place / f"{part}-{kind}-ubyte").write_bytes(head + pixels.tobytes())
    return {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in place.iterdir()}


def test_mnist_is_read_from_the_files_that_were_checked(folder, monkeypatch):
    sums = _write_mnist(folder, counts={"train": 30, "t10k": 20})
    changed = dataclasses.replace(sources.SOURCES["mnist"], files=sums)
    monkeypatch.setitem(sources.SOURCES, "mnist", changed)
    processed = folder / "MNIST" / "processed"  # torchvision prefers the files of its old versions
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28), torch.zeros(3)), processed / name)
    images, labels = data.mnist("train")
    assert images.shape == (30, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [3] * 10
    assert bool((images == labels[:, None, None, None]).all())
    assert len(data.mnist("test").labels) == 20


@pytest.mark.parametrize("magic", [0x0800, 0x7700])
def test_other_digits_in_the_place_of_mnist_are_refused(folder, magic):
    _write_mnist(folder, counts={"train": 1, "t10k": 10_000}, magic=magic)
    with pytest.raises(data.DataError, match=r"checksum.* ibtutor data get mnist"):
        data.mnist("test")


@pytest.mark.parametrize("size", [None, 1000])
def test_votes_that_are_not_those_of_cifar10h_are_refused(folder, size):
    path = folder / "cifar10h" / "cifar10h-counts.npy"
    path.parent.mkdir()
    np.save(path, np.zeros((10_000, 10)))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(data.DataError, match=r"checksum.* ibtutor data get cifar10h"):
        data.cifar10h_counts()


def test_truncated_data_is_refused(folder, monkeypatch):
    _write_cifar10(folder, monkeypatch, 7)
    path = folder / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(data.DataError, match="ibtutor data get cifar10"):
        data.cifar10("train")


def test_unknown_splits_are_refused(folder):
    for load in (data.cifar10, data.cifar100, data.mnist, data.digits):
        with pytest.raises(ValueError, match="'train' or 'test'"):
            load("validation")
    with pytest.raises(ValueError, match="kaggle-train"):
        data.flowers102("validation")
