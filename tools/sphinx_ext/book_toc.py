"""What `_toc.yml` says: the pages that are there by part, and those that are planned."""

from pathlib import Path

import yaml


def parts(root: Path) -> dict[str, list[str]]:
    """Pages of each part, without suffix, in the order of reading."""
    return {
        part["caption"]: [chapter["file"].removesuffix(".md") for chapter in part["chapters"]]
        for part in _toc(root)["parts"]
    }


def planned(root: Path) -> set[str]:
    """Slugs of all chapters that are not written yet."""
    return {
        slug for part in _toc(root).get("meta", {}).get("planned", {}).values() for slug in part
    }


def _toc(root: Path) -> dict:
    return yaml.safe_load((root / "_toc.yml").read_text("utf8"))
