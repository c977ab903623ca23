# shellcheck shell=bash
# What tools/bazel and .ci/run share: finding Bazel, installing Debian packages, fetching data. Source it.
# Only builtins run when there is nothing to do: it stands before every command.

_setup_dir=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
_repository=${_setup_dir%/tools/setup}
_state_dir=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/modelbatch

say() { printf 'modelbatch: %s\n' "$*" >&2; }

fail() {
  printf 'ERROR: %s\n' "$*" >&2
  exit 1
}

# Prints the path of the Bazel to run: the one that a launcher chose, else the first in PATH that is not tools/bazel.
find_bazel() {
  local candidate
  if [[ -n ${BAZEL_REAL:-} ]]; then
    [[ -x $BAZEL_REAL ]] || return 1
    printf '%s\n' "$BAZEL_REAL"
    return
  fi
  while read -r candidate; do
    if ! [[ $candidate -ef $_repository/tools/bazel ]]; then
      printf '%s\n' "$candidate"
      return
    fi
  done < <(type -aP bazel bazel-real bazelisk)
  return 1
}

# Prints those of the packages in the list file $1 that are not installed.
missing_packages() {
  local -a wanted
  mapfile -t wanted < <(grep -v '^#' "$1")
  # A package never heard of makes dpkg-query fail; it is missing then, which is what is asked.
  comm -23 <(printf '%s\n' "${wanted[@]}" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' "${wanted[@]}" 2>/dev/null |
      sed -nE 's/^installed ([^:]*).*/\1/p' | sort)
}

# Shows apt's status lines ("pmstatus:package:percent:text") as progress: one line that moves on a terminal, else a
# line for every fifth of the way.
_apt_progress() {
  local kind percent last=-1
  while IFS=: read -r kind _ percent _; do
    percent=${percent%%.*}
    [[ $percent =~ ^[0-9]+$ ]] || continue
    case $kind in dlstatus) kind=downloading ;; pmstatus) kind=installing ;; *) continue ;; esac
    if [[ -t 2 ]]; then
      printf '\r  %-12s %3d %%' "$kind" "$percent" >&2
    elif ((percent / 20 != last)); then
      last=$((percent / 20))
      printf '  %-12s %3d %%\n' "$kind" "$percent" >&2
    fi
  done
  [[ ! -t 2 ]] || printf '\r%30s\r' '' >&2
}

# Installs the Debian packages given by name, as root or through sudo; fails with the command to run where it may not.
install_packages() {
  local -a as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null || ! { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      fail "these packages are missing and this user may not install them. Have an administrator run" \
        "\`apt-get update && apt-get install --no-install-recommends $*\`, then start again."
    fi
    as_root=(sudo)
  fi
  local log start=$SECONDS
  log=$(mktemp)
  say "installing $# Debian packages, some minutes: $*"
  local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
  # Without a fresh list an installation may still succeed; if not, its own message is the better one.
  "${as_root[@]}" "${apt[@]}" update >"$log" 2>&1 || cat "$log" >&2
  # The status lines leave on a descriptor made below sudo, which closes the caller's.
  # shellcheck disable=SC2016  # expanded by the inner shell
  if ! "${as_root[@]}" sh -c 'log=$1; shift; exec "$@" 3>&1 >"$log" 2>&1 </dev/null' sh "$log" \
    "${apt[@]}" -o APT::Status-Fd=3 install --no-install-recommends "$@" | _apt_progress; then
    tail -n 20 "$log" >&2
    fail "installing packages failed (the end of the log is above). By hand: apt-get update && apt-get install" \
      "--no-install-recommends $*"
  fi
  rm -f "$log"
  say "packages installed in $((SECONDS - start)) s"
}

# Installs what the build needs from Debian. A stamp newer than dpkg's state says that there is nothing to do.
setup_machine() {
  local list=$_setup_dir/debian_packages.txt stamp=$_state_dir/packages.stamp missing
  if [[ $stamp -nt /var/lib/dpkg/status && $stamp -nt $list ]]; then return; fi
  mkdir -p "$_state_dir"
  if ! command -v dpkg-query >/dev/null; then
    [[ $stamp -nt $list ]] || say "no apt here: what is needed is listed, by its Debian names, in $list"
    touch "$stamp"
    return
  fi
  (
    # One at a time; whoever waited finds nothing left to do.
    flock 9
    missing=$(missing_packages "$list")
    # Any other Bazel will do, and so will any Python that has pip.
    if [[ $missing == *bazel-bootstrap* ]] && find_bazel >/dev/null; then
      missing=${missing/bazel-bootstrap/}
    fi
    if [[ $missing == *python3-pip* ]] && python3 -c 'import pip, venv' 2>/dev/null; then
      missing=${missing/python3-pip/}
    fi
    # shellcheck disable=SC2086  # package names, one word each
    [[ -z ${missing//[[:space:]]/} ]] || install_packages $missing
  ) 9>"$_state_dir/packages.lock"
  touch "$stamp"
}

# Fetches the example data that the repository does not carry. Only the examples want it, so that a failure is said and
# no more.
setup_data() {
  local digits=$_repository/examples/digits
  [[ -d $digits && ! -f $digits/digits.csv ]] || return 0
  say "fetching the UCI digits data (once, about 9 MB)"
  python3 "$_setup_dir/fetch_digits.py" "$digits/digits.csv" ||
    say "no digits data: what uses //examples/digits:digits.csv will not build until it can be fetched"
}
