"""Kernels of notebooks run in other processes: those that did not start and that must end."""

import contextlib
import re

# Jupyter picks a kernel's ports before the kernel takes them: between the two another process can
# have one. Such a kernel ran no cell, so that starting another hides nothing of the notebook.
NEVER_STARTED = re.compile(r"Kernel (died before replying|didn't respond)")
STARTS = 3


def kill_tree(pid: int) -> None:
    """End a process and its kernels, which are sessions of their own: no signal to a group."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        children = parent.children(recursive=True)
        for one in [*children, parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(children, timeout=10)  # the caller waits for its own child
