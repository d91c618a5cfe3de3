# Makes this shell see the package, its tools and ROS 2:  source env.bash
#
# Works from any directory, may be sourced again, and never ends the shell. `make setup` comes first.

if [ -z "${BASH_VERSION:-}" ]; then
  echo "env.bash: needs bash; start one with: bash" >&2
  return 1 2>/dev/null || exit 1
fi
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  echo "env.bash: run it as: source env.bash" >&2
  exit 1
fi

# Put a folder in front of a list such as PATH; one that is in it already moves to the front.
_depth_perception_prepend() {
  local name=$1 folder=$2 list
  list=":${!1:-}:"
  while [[ $list == *":$folder:"* ]]; do
    list=${list/":$folder:"/:}
  done
  list=${list#:}
  list=${list%:}
  export "$name=$folder${list:+:$list}"
}

# Take a folder, and what is below it, out of a list such as PATH.
_depth_perception_drop() {
  local name=$1 prefix=$2 entry list=
  while IFS= read -r -d : entry; do
    case $entry in
      "$prefix" | "$prefix"/*) ;;
      *) list+=${list:+:}$entry ;;
    esac
  done <<<"${!name:-}:"
  export "$name=$list"
}

_depth_perception_env() {
  local root venv overlay origin folder name
  root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd) || return 1
  venv=$root/.venv
  overlay=$root/install
  if [ ! -f "$venv/ros_origin" ]; then
    echo "env.bash: there is no complete environment in $venv; run: make -C $root setup" >&2
    return 1
  fi
  origin=$(<"$venv/ros_origin")

  if [ "$origin" != wheels ] && [ -z "${ROS_DISTRO:-}" ]; then
    # The environment was made with a distribution: this is its set-up file.
    if [ ! -f "$origin" ]; then
      echo "env.bash: $origin, with which the environment was made, is gone; run: make -C $root distclean setup" >&2
      return 1
    fi
    # The file of a distribution reads variables that may be unset and commands that may fail.
    local options
    options=$(set +o)
    set +eu
    # shellcheck disable=SC1090
    source "$origin"
    eval "$options"
  fi

  # Not a second time: `activate` would put back the PATH of before the first.
  if [ "${VIRTUAL_ENV:-}" != "$venv" ]; then
    # shellcheck disable=SC1091
    source "$venv/bin/activate" || return 1
  fi

  if [ "$origin" = wheels ]; then
    if [ -n "${ROS_DISTRO:-}" ]; then
      # Its modules were compiled for another Python or another version of the messages.
      echo "env.bash: leaving the sourced ROS 2 $ROS_DISTRO aside, as $venv has its own; to use it: make distclean setup" >&2
      local prefix
      while IFS= read -r -d : prefix; do
        if [ -n "$prefix" ]; then
          for name in PATH PYTHONPATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH; do _depth_perception_drop "$name" "$prefix"; done
        fi
      done <<<"${AMENT_PREFIX_PATH:-}:"
      unset ROS_DISTRO AMENT_PREFIX_PATH
    fi
    # Each wheel adds to the prefix of the environment.
    _depth_perception_prepend AMENT_PREFIX_PATH "$venv"
    for folder in "$venv"/lib/python3.*/site-packages/ros_*.libs "$venv/lib"; do
      if [ -d "$folder" ]; then _depth_perception_prepend LD_LIBRARY_PATH "$folder"; fi
    done
    # With the libraries found, Python need not start itself again to find them.
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
  fi

  for folder in "$overlay"/lib/python3.*/site-packages "$overlay"/local/lib/python3.*/dist-packages; do
    if [ -d "$folder" ]; then _depth_perception_prepend PYTHONPATH "$folder"; fi
  done
  if [ -d "$overlay" ]; then
    _depth_perception_prepend AMENT_PREFIX_PATH "$overlay"
    _depth_perception_prepend LD_LIBRARY_PATH "$overlay/lib"
    _depth_perception_prepend PATH "$overlay/bin"
  fi

  # Networks that lie beside the clone, in models/ or shared/models/, are found by their names.
  local models
  for models in "$root/../models" "$root/../shared/models"; do
    if [ -d "$models" ]; then _depth_perception_prepend DEPTH_PERCEPTION_MODELS "$(cd "$models" && pwd)"; fi
  done
}

if _depth_perception_env; then
  unset -f _depth_perception_env _depth_perception_drop _depth_perception_prepend
else
  unset -f _depth_perception_env _depth_perception_drop _depth_perception_prepend
  return 1
fi
