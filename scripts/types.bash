#!/usr/bin/env bash
# Check types, with the stubs of the NumPy that is installed. Those before 2.3 (the last for Python
# 3.10, and what distributions bring) know neither the shapes nor the scalars that the code states.
set -euo pipefail

version=$(python -c 'import numpy; print(numpy.__version__)')
if [[ $(printf '%s\n' 2.3 "$version" | sort -V | head -n 1) == 2.3 ]]; then
    exec mypy
fi
echo "types are not checked: that takes NumPy 2.3 or newer, here is $version"
