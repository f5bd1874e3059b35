# Functions of .ci/run and .ci/soak: a clean checkout, and the README's test command
# as timed steps in it. Needs apt's Python and git; everything else comes from them.

source_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/aioec-ci.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
durations=()

# Install what the README presupposes, where it is missing (as root, on Debian).
install_what_is_missing() {
  local packages=()
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
  command -v git >/dev/null || packages+=(git)
  command -v ssh >/dev/null || packages+=(openssh-client)
  if [ ${#packages[@]} -eq 0 ]; then return; fi

  local began=$SECONDS options=(-qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=60)
  export DEBIAN_FRONTEND=noninteractive
  timeout --kill-after=10 120 apt-get "${options[@]}" update </dev/null
  timeout --kill-after=10 240 apt-get "${options[@]}" install -y \
    --no-install-recommends "${packages[@]}" </dev/null >"$scratch/apt.log" 2>&1 ||
    { cat "$scratch/apt.log"; return 1; }
  took "$began" 360 "apt-get install ${packages[*]}"
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
