"""Run the first cell and every import of notebooks, each alone in an empty folder.

    python alone.py NOTEBOOK ...

Prints a JSON object: for each notebook what went wrong ("" if nothing) and which files it left.
Torch and the like are imported once, then every notebook has a forked process. It needs nothing of
the checkout, so that the interpreter of any environment can run it.
"""

import ast
import contextlib
import io
import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path


def imports(source: str) -> list[str]:
    from IPython.core.inputtransformer2 import TransformerManager

    tree = ast.parse(TransformerManager().transform_cell(source))
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return [ast.unparse(node) for node in nodes]


def run(path: str) -> tuple[str, str, list[str]]:
    from IPython.core.interactiveshell import InteractiveShell

    first, *others = [
        "".join(cell["source"])
        for cell in json.loads(Path(path).read_text("utf8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    lines = [line for source in others for line in imports(source)]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        os.chdir(folder)
        shell = InteractiveShell.instance()
        done = shell.run_cell(first).success and shell.run_cell("\n".join(lines)).success
        left = sorted(os.listdir(folder))
        os.chdir("/")
    return Path(path).stem, "" if done else said.getvalue() or "failed", left


if __name__ == "__main__":
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401
    import seaborn  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torchvision  # noqa: F401

    assert "google.colab" in sys.modules
    assert "ibtutor" not in sys.modules
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        results = pool.map(run, sys.argv[1:], chunksize=1)
    print(json.dumps({page: [error, left] for page, error, left in results}))
