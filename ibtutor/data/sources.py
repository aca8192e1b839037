"""The real data sets: their files with checksums, and who downloads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ibtutor import _progress


@dataclass(frozen=True)
class Source:
    """One real data set: `files` relative to `folder`, each with its MD5 or SHA-256."""

    folder: str
    files: dict[str, str]
    fetch: Callable[[Path], None]  # writes staging/folder, verified, or raises
    needs: str = "pip install torchvision"
    inspect: Callable[[Path, str], tuple[str, Path, str, int]] | None = None  # beyond checksums


def _torchvision(name: str, **arguments: object) -> Callable[[Path], None]:
    def fetch(staging: Path) -> None:
        from torchvision import datasets

        getattr(datasets, name)(staging, download=True, **arguments)

    return fetch


def _fetch_cifar10h(staging: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    nothing = OSError(f"none of {len(CIFAR10H_MIRRORS)} mirrors gave the file")
    for url in CIFAR10H_MIRRORS:
        try:
            with _progress.bar(total=1, unit="B", unit_scale=True) as bar:
                pooch.retrieve(
                    url,
                    known_hash=f"sha256:{CIFAR10H_SHA256}",
                    fname="cifar10h-counts.npy",
                    path=staging / "cifar10h",
                    progressbar=bar,
                )
            return
        except (OSError, ValueError) as error:
            nothing.add_note(f"{url}: {error}")
    raise nothing


def _inspect_flowers(folder: Path, hint: str) -> tuple[str, Path, str, int]:
    """Flowers may be here in part: the official training split alone is enough for the book."""
    from scipy.io import loadmat

    here = {path.name for path in (folder / "jpg").glob("image_*.jpg")}
    parts = loadmat(folder / "setid.mat")
    train, *others = (
        {f"image_{i:05d}.jpg" for i in parts[key].ravel()} for key in ("trnid", "valid", "tstid")
    )
    whole = train.union(*others)
    lacking = len(whole - here)
    if not train <= here:
        message = f"no jpg/{min(train - here)} in {folder}. {hint}"
        return "missing", folder, message, lacking
    part = f"{len(whole & here):,} of {len(whole):,} images, training split whole, in {folder}"
    message = f"{part}. {hint} for the others" if lacking else f"whole, in {folder}"
    return "ok", folder, message, lacking


CIFAR10H_SHA256 = "9b36b4550349af56c79083356312eb4af856cc5fd3caf1f669d40b9d0bbb69ff"
_CIFAR10H_FILE = "data/cifar10h-counts.npy"
CIFAR10H_MIRRORS = (
    f"https://raw.githubusercontent.com/jcpeterson/cifar-10h/master/{_CIFAR10H_FILE}",
    f"https://github.com/jcpeterson/cifar-10h/raw/master/{_CIFAR10H_FILE}",
    f"https://cdn.jsdelivr.net/gh/jcpeterson/cifar-10h@master/{_CIFAR10H_FILE}",
)

SOURCES: dict[str, Source] = {
    "cifar10": Source(
        "cifar-10-batches-py",
        {
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        _torchvision("CIFAR10"),
    ),
    "cifar100": Source(
        "cifar-100-python",
        {
            "meta": "7973b15100ade9c7d40fb424638fde48",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "train": "16019d7e3df5f24257cddd939b257f8d",
        },
        _torchvision("CIFAR100"),
    ),
    "cifar10h": Source(
        "cifar10h",
        {"cifar10h-counts.npy": CIFAR10H_SHA256},
        _fetch_cifar10h,
        needs="pip install 'ibtutor[data]'",
    ),
    "flowers102": Source(
        "flowers-102",
        {
            "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
            "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
        },
        _torchvision("Flowers102"),
        inspect=_inspect_flowers,
    ),
    "mnist": Source(
        "MNIST/raw",
        {
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        },
        _torchvision("MNIST"),
    ),
}
