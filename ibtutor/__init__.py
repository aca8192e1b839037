"""Label smoothing as an information bottleneck: the package beside the book.

Importing `ibtutor` does no work: each namespace is imported when it is first used.
"""

from importlib import import_module

__version__ = "0.1.0.dev0"

_NAMESPACES = (
    "checks",
    "course",
    "data",
    "experiments",
    "explorer",
    "info",
    "losses",
    "models",
    "plots",
    "predict",
    "probes",
    "record",
    "saliency",
    "train",
)


def __getattr__(name: str):
    if name in _NAMESPACES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMESPACES])
