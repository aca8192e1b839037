"""`python -m tools.book build|execute|pairs|serve`: what `make` calls."""

import argparse
import re
import sys
import time

from tools import execute, pages, readme, website

COLORS = re.compile(r"\x1b\[[0-9;]*m")


def run_pages() -> bool:
    """Check the pairs and execute what changed; print the cell and traceback of each failure."""
    pages.check_pairs()
    failed = [outcome for outcome in execute.execute(pages.sources()) if not outcome.ok]
    for outcome in failed:
        output = outcome.output if sys.stdout.isatty() else COLORS.sub("", outcome.output)
        print(f"\n===== {outcome.page} failed =====\n{output}", flush=True)
    if failed:
        print(f"Failed: {', '.join(outcome.page for outcome in failed)}", file=sys.stderr)
    return not failed


def write_pairs() -> None:
    written = [pages.name(path) for path in pages.sources() if pages.write(path)]
    written += ["README.md"] if readme.write() else []
    print(f"Written: {', '.join(written)}" if written else "Pages and notebooks agree.")


def build() -> bool:
    start = time.monotonic()
    if not run_pages():
        return False
    executed = time.monotonic()
    website.build(pages.sources())
    spent = f"execution {executed - start:.0f} s, site {time.monotonic() - executed:.0f} s"
    print(f"Built _build/html ({spent}). To look at it: make serve")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["build", "execute", "pairs", "serve"])
    commands = {"build": build, "execute": run_pages, "pairs": write_pairs, "serve": website.serve}
    try:
        return 1 if commands[parser.parse_args().command]() is False else 0
    except (pages.PairError, website.SiteError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
