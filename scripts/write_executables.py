# Copyright 2026 depth_perception contributors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Write one executable for each console script of setup.cfg, and list their paths for CMake.

CMake packages have no entry points of their own. Reading those of setup.cfg keeps one list for pip,
`colcon build` and `ros2 run`. The first line names the interpreter that the package was built with,
because its compiled messages load into no other.
"""

import argparse
import configparser
import re
from pathlib import Path

TEMPLATE = """\
{shebang}
import signal
import sys

# While modules load, which takes seconds, Ctrl-C ends the process as it does any other program;
# what is loaded sets handlers of its own.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    from {module} import {attribute}
except ImportError as error:
    if not hasattr(error, "fix"):  # as errors.LibraryError has it
        raise
    sys.exit(f"{name}: {{error}}")

if __name__ == "__main__":
    sys.exit({attribute}())
"""

NODE = """\
{shebang}
import _signal
import posix


def end(number, frame):
    posix._exit(0)


# From the first moment on Ctrl-C ends the process quietly and, as later, with success: launch calls
# anything else an error. `signal` and `os` take longer to load than these two, which are built in.
for number in (_signal.SIGINT, _signal.SIGTERM):
    if _signal.getsignal(number) != _signal.SIG_IGN:
        _signal.signal(number, end)

# Now for what Python does by itself without -S, in an environment with many packages for long.
import site
import sys

site.main()

from {module} import {attribute}

if __name__ == "__main__":
    sys.exit({attribute}())
"""
"""Of a node. Not of a command: its child processes would be started with -S, too."""

NODES = "depth_perception.nodes."

# The kernel cuts a longer first line off, and splits it at the first space.
LONGEST_SHEBANG = 127


def shebang(interpreter: str, option: str = "") -> str:
    """Return first lines that start `interpreter`, whatever its path looks like."""
    line = f"#!{interpreter} {option}".rstrip()
    if " " not in interpreter and len(line) <= LONGEST_SHEBANG:
        return line
    # The shell runs the second line; to Python, the second and third are one string.
    return f"#!/bin/sh\n'''exec' \"{interpreter}\" {option} \"$0\" \"$@\"\n' '''"


def console_scripts(setup_cfg: Path) -> dict[str, tuple[str, str]]:
    """Map each console script of `setup_cfg` to its module and function."""
    parser = configparser.ConfigParser()
    parser.read(setup_cfg, encoding="utf-8")
    scripts = {}
    for line in parser["options.entry_points"]["console_scripts"].strip().splitlines():
        match = re.fullmatch(r"\s*([\w-]+)\s*=\s*([\w.]+)\s*:\s*(\w+)\s*", line)
        if match is None:
            raise SystemExit(
                f"{setup_cfg}: console script '{line.strip()}' is not 'name = module:function'"
            )
        name, module, attribute = match.groups()
        scripts[name] = (module, attribute)
    return scripts


def main() -> None:
    """Write the executables; print their paths, separated by semicolons as in a CMake list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setup-cfg", type=Path, required=True)
    parser.add_argument("--interpreter", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    arguments.output.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (module, attribute) in console_scripts(arguments.setup_cfg).items():
        path = arguments.output / name
        template, option = (NODE, "-S") if module.startswith(NODES) else (TEMPLATE, "")
        line = shebang(arguments.interpreter, option)
        text = template.format(shebang=line, name=name, module=module, attribute=attribute)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        paths.append(path.as_posix())
    print(";".join(paths))


if __name__ == "__main__":
    main()
