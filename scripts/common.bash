# What the set-up scripts share. Sourced by them, from the root of the checkout.

# Say what is wrong and how to put it right, in one line, and stop.
fail() {
  echo "error: $*" >&2
  exit 1
}

say() {
  echo "[setup] $*"
}

# One set-up at a time: a second one, started beside it, waits and then finds the work done.
lock() {
  mkdir -p build
  if command -v flock >/dev/null; then
    exec 9>build/.lock
    flock -n 9 || { say "waiting for another set-up of this checkout"; flock 9; }
  fi
}

# Identify the content of files, not their times: a fresh checkout gives every file a new one.
digest() {
  sha256sum | cut -d ' ' -f 1
}

# The messages are compiled. CC and CXX may name the compilers, with options.
need_compiler() {
  local compiler
  for compiler in "${CC:-cc}" "${CXX:-c++}"; do
    command -v "${compiler%% *}" >/dev/null ||
      fail "no C and C++ compiler ('${compiler%% *}' is not on the PATH); install one (Debian, Ubuntu: apt install g++) or name it with CC and CXX"
  done
}
