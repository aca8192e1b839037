"""What `_toc.yml` says: the pages that are there by part, and those that are planned."""

from pathlib import Path

import yaml


def parts(root: Path) -> dict[str, list[str]]:
    """Pages of each part, without suffix, in the order of reading."""
    return {
        part["caption"]: [chapter["file"].removesuffix(".md") for chapter in part["chapters"]]
        for part in _toc(root)["parts"]
    }


def planned_by_part(root: Path) -> dict[str, dict[str, str]]:
    """Of each part, the chapters that are not written yet: slug and what it will hold."""
    return _toc(root).get("meta", {}).get("planned", {})


def planned(root: Path) -> set[str]:
    """Slugs of all chapters that are not written yet."""
    return {slug for part in planned_by_part(root).values() for slug in part}


def _toc(root: Path) -> dict:
    return yaml.safe_load((root / "_toc.yml").read_text("utf8"))
