# Functions of .ci/run and .ci/soak: a clean checkout, and the README's test command
# as timed steps in it. Needs apt's Python and git; everything else comes from them.

source_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/aioec-ci.XXXXXX")
transient=("$scratch") # what has to go, however the run ends
trap 'rm -rf "${transient[@]}"' EXIT
durations=()

# Install what the README presupposes, where it is missing (as root, on Debian), and
# OpenSSH's server and container engines if their tests must run.
install_what_is_missing() {
  local packages=() PATH=$PATH:/usr/sbin:/sbin
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
  command -v git >/dev/null || packages+=(git)
  command -v ssh >/dev/null || packages+=(openssh-client)
  if required sshd; then
    command -v sshd >/dev/null || packages+=(openssh-server)
    # As root it insists on a folder that only its service would make.
    [ "$(id -u)" -ne 0 ] || mkdir -p -m 755 /run/sshd
  fi
  if required containers; then
    command -v ip >/dev/null || packages+=(iproute2)
    command -v iptables >/dev/null || packages+=(iptables)
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v podman >/dev/null ||
      packages+=(podman netavark aardvark-dns catatonit uidmap)
    command -v runc >/dev/null || packages+=(runc)
    command -v mmdebstrap >/dev/null || packages+=(mmdebstrap)
  fi
  if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi
}

# Tell whether the tests with this marker must not skip.
required() {
  [[ ,${AIOELASTICLUSTER_REQUIRE-}, == *,$1,* ]]
}

# Install packages; what serves among them does not begin to, now or at the next boot.
install_packages() {
  local packages=("$@") began=$SECONDS policy=/usr/sbin/policy-rc.d
  local options=(-qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=60)
  export DEBIAN_FRONTEND=noninteractive
  if [ "$(id -u)" -ne 0 ]; then
    echo "ci: only root can do this here: apt-get install ${packages[*]}" >&2
    return 1
  fi
  if [ ! -e "$policy" ]; then # else the machine has its own rule for that
    transient+=("$policy")
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  timeout --kill-after=10 120 apt-get "${options[@]}" update </dev/null
  timeout --kill-after=10 240 apt-get "${options[@]}" install -y \
    --no-install-recommends "${packages[@]}" </dev/null >"$scratch/apt.log" 2>&1 ||
    { cat "$scratch/apt.log"; return 1; }
  keep_down "${packages[@]}" >>"$scratch/apt.log" 2>&1
  took "$began" 360 "apt-get install ${packages[*]}"
}

# Keep what these packages serve from being started at the next boot.
keep_down() {
  local package
  for package; do
    case $package in
      openssh-server) update-rc.d ssh disable ;;
      docker.io) disable docker.service docker.socket containerd.service ;;
      podman) disable podman.service podman.socket podman-restart.service \
        podman-auto-update.service podman-auto-update.timer ;;
    esac
  done
}

# Disable units, where this machine has systemd and knows them.
disable() {
  ! command -v systemctl >/dev/null || systemctl disable "$@" || true
}

# Lay out the commit that is checked out, so that nothing uncommitted can help.
check_out() {
  local git=(git -c safe.directory='*' -C "$source_tree")
  mkdir "$scratch/checkout" "$scratch/tmp"
  chmod 755 "$scratch" # some tests become somebody without rights
  "${git[@]}" archive HEAD | tar -x -C "$scratch/checkout"
  cd "$scratch/checkout"
  export TMPDIR=$scratch/tmp
  "${git[@]}" log -1 --format='ci: %h %s'
  "${git[@]}" diff --quiet HEAD ||
    echo "ci: uncommitted changes are not part of this run"
}

# Print the one line of the one `sh` block under the README's heading "Tests".
readme_command() {
  awk '/^## /{here = ($0 == "## Tests")} /^```/{inside = here && $0 == "```sh"; next}
       inside' README.md
}

# Print the README's test command link by link ("a && b" has two).
readme_steps() {
  local command
  command=$(readme_command)
  if [ "$(grep -c . <<<"$command")" -ne 1 ]; then
    echo "ci: README.md must have one command under '## Tests', has: $command" >&2
    return 1
  fi
  sed 's/ && /\n/g' <<<"$command"
}

# Run one command line within its time (seconds); remember how long it took.
step() {
  local limit=$1 line=$2 began=$SECONDS status=0
  echo "ci: $line"
  python3 "$source_tree/.ci/contained.py" "$limit" bash -c "$line" 2>&1 |
    tee "$scratch/step.log" || status=$?
  took "$began" "$limit" "$line"
  if [ "$status" -ne 0 ]; then
    summary
    exit "$status"
  fi
}

took() {
  durations+=("$(printf 'ci: %4d s of %4d s: %s' $((SECONDS - $1)) "$2" "$3")")
  echo "${durations[-1]}"
}

# All durations once more, then what the last step said last: pytest's own summary.
summary() {
  echo
  printf '%s\n' "${durations[@]}" "$(tail -n 1 "$scratch/step.log")"
}
