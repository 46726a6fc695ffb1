# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the other parts
# What every part of ./dev uses: messages, failing with a way out, the cache and its lock, long steps with
# progress, becoming root, and running commands in the guests' userland.

LAB=$TREE/tests/lab
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/drover
BUILD=$TREE/build
LOCK=
ROLES="debug fast lts new"

say() { printf '%s\n' "dev: $*" >&2; }
die() { printf '%s\n' "dev: $*" >&2; exit 1; }

# be_root ARG...: starts ./dev again under sudo when the caller isn't root. The cache and the home stay the caller's.
be_root() {
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null || die "this needs root: guests' userlands are made with chroot and mount. Run it as root, or install sudo."
	exec sudo HOME="$HOME" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" DROVER_OWNER="$(id -u):$(id -g)" "$TREE/dev" "$@"
}

# What we made in the caller's tree is the caller's again.
give_back_tree() {
	[ -n "${DROVER_OWNER:-}" ] && [ -d "$BUILD" ] || return 0
	chown -R "$DROVER_OWNER" "$BUILD"
}

# take_lock DIRECTORY WHAT: at most one ./dev works there at a time; whoever comes second waits. Sets LOCK.
take_lock() {
	mkdir -p "$1"
	exec {LOCK}>"$1/lock"
	flock -n "$LOCK" && return 0
	say "another ./dev is $2; waiting for it"
	flock "$LOCK"
}

drop_lock() {
	exec {LOCK}>&-
	LOCK=
}

# once FILE COMMAND...: makes what FILE stands for in the cache, if it isn't there.
once() {
	local file=$1
	shift
	[ ! -e "$file" ] || return 0
	take_lock "$CACHE" "setting up $CACHE"
	[ -e "$file" ] || "$@"
	drop_lock
}

# key_of FILE...: a short name for what these files say.
key_of() { cat "$@" | sha256sum | cut -c1-12; }

# shown COUNTER TOTAL: turns a counting command into "12 of 340 (3 %)" or "12".
shown() {
	local n
	n=$($1 2>/dev/null) || n=0
	if [ "${2:-0}" -gt 0 ]; then
		printf '%s of about %s' "$n" "$2"
	else
		printf '%s' "$n"
	fi
}

# progress PID WHAT [COUNTER TOTAL]: says how far PID is, on one line of a terminal or every 30 s otherwise.
progress() {
	local pid=$1 what=$2 counter=${3:-} total=${4:-0} start=$SECONDS every=30 next=0 line
	[ -t 2 ] && every=1
	next=$((SECONDS + every))
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		[ "$SECONDS" -ge "$next" ] || continue
		next=$((SECONDS + every))
		line="$what, $((SECONDS - start)) s"
		[ -n "$counter" ] && line+=": $(shown "$counter" "$total")"
		if [ -t 2 ]; then printf '\r\033[Kdev: %s' "$line" >&2; else say "  $line"; fi
	done
	[ -t 2 ] && printf '\r\033[K' >&2
	return 0
}

# long_step WHAT LOG ADVICE COUNTER TOTAL COMMAND...: runs COMMAND with its output in LOG. On failure: the end of the
# log, where it is, and what to do.
long_step() {
	local what=$1 log=$2 advice=$3 counter=$4 total=$5 start=$SECONDS pid rc=0
	shift 5
	mkdir -p "$(dirname "$log")"
	say "$what …"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	progress "$pid" "$what" "$counter" "$total"
	wait "$pid" || rc=$?
	if [ "$rc" -ne 0 ]; then
		tail -n 30 "$log" >&2
		die "$what: failed after $((SECONDS - start)) s. All of it is in $log. $advice"
	fi
	[ $((SECONDS - start)) -lt 3 ] || say "$what: done in $((SECONDS - start)) s"
}

# in_root COMMAND...: runs COMMAND in the guests' userland, with the tree, the cache and the working directory at
# their own paths.
in_root() {
	unshare -m --propagation private "$LAB/enter-root" "$ROOT" "$TREE" "$CACHE" "$PWD" "$@"
}
