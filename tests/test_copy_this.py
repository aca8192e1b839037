"""What the practice page offers to copy runs as copied, in an empty file, without this package."""

import subprocess
import sys

from tools import pages

USE = """
data = torch.utils.data.TensorDataset(torch.rand(64, 1, 8, 8), torch.arange(64) % 10)
loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
model = fit(model, loader, alpha=0.1, epochs=2)
with torch.no_grad():
    found = scores(model(data.tensors[0]), data.tensors[1])
assert found["after temperature"] <= found["plain loss"] + 1e-6
assert set(found) == {"accuracy", "plain loss", "after temperature", "temperature"}
assert "ibtutor" not in sys.modules
"""


def copied() -> str:
    """The two cells of the section, as a reader would copy them."""
    cells = pages.read_markdown(pages.BOOK / "label_smoothing_in_practice.md").cells
    start = next(i for i, cell in enumerate(cells) if "## Copy this" in cell.source)
    code = [cell.source for cell in cells[start:] if cell.cell_type == "code"]
    return "\n".join(code[:2])


def test_the_block_runs_as_copied(tmp_path):
    (tmp_path / "copied.py").write_text(f"{copied()}\n\nimport sys\n{USE}", "utf8")
    command = [sys.executable, "-I", "-W", "error", "copied.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
