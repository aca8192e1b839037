#!/bin/sh
# Print the first Python that is 3.11 or newer and can make a virtual environment.
for name in "$PYTHON" python3 python3.13 python3.12 python3.11 python3.14 python; do
    [ -n "$name" ] || continue
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        command -v "$name"
        exit 0
    fi
done
echo "ibtutor needs Python 3.11 or newer with its venv module; none was found on the PATH." >&2
echo "On Debian or Ubuntu: apt-get install python3-venv. Or name one: make PYTHON=/path/to/python3" >&2
exit 1
