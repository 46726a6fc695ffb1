# shellcheck shell=bash
# The part of a guest's first process that runs test suites, one after the other, in one boot: RUN/suites has a line
# "name|parameters|command" for each. For each suite: RUN/NAME.out (what it said), RUN/NAME.err, marks in the kernel's
# log, and a line in RUN/results: name, status, status of the unloading, milliseconds.

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo "${t%???}"; }

# The tree's own modules, as they are called in /sys/module; the driver last.
tree_modules() {
	local ko
	for ko in "$RUN"/modules/*.ko; do
		[ ! -e "$ko" ] || [ "${ko##*/}" = drover.ko ] || basename "$ko" .ko | tr - _
	done
	echo drover
}

# Nothing of the tree's may stay loaded. What a dying process still holds may take a moment.
unload_modules() {
	local name left=1
	for _ in {1..30}; do
		left=0
		for name in $(tree_modules); do
			[ ! -d "/sys/module/$name" ] || rmmod "$name" 2>"$RUN/rmmod" || left=1
		done
		[ "$left" -eq 0 ] && return 0
		sleep 0.1
	done
	cat "$RUN/rmmod" >>"$1"
	return 1
}

# Runs a suite in a session of its own, so that all of it can be ended when its time is up.
run_limited() {
	local command=$1 out=$2 err=$3 limit pid watcher
	limit=$(cat "$RUN/limit")
	cd "$LAB_TREE" || return 125
	CMOCKA_MESSAGE_OUTPUT=TAP setsid bash -c "$command" </dev/null >"$out" 2>"$err" &
	pid=$!
	(
		sleep "$limit" &
		trap 'kill $!; exit' TERM
		wait $!
		kernel_says "a suite ran into its time limit of $limit s"
		echo w >/proc/sysrq-trigger
		echo t >/proc/sysrq-trigger
		echo "dev: time limit of $limit s; the kernel's log says what its tasks were doing" >>"$err"
		kill -KILL -- "-$pid"
	) &
	watcher=$!
	wait "$pid"
	status=$?
	kill "$watcher" 2>/dev/null
	wait "$watcher" 2>/dev/null
	return "$status"
}

load_for_suite() {
	local params
	[ "$1" != none ] || return 0
	read -r -a params <<<"$1"
	modprobe drover "${params[@]}" 2>>"$2" && udev_less_nodes
}

run_suite() {
	local name=$1 parameters=$2 command=$3 status=0 unloaded=0 start
	local out=$RUN/$name.out err=$RUN/$name.err
	start=$(now_ms)
	: >"$out"
	: >"$err"
	kernel_says "begin $name"
	if load_for_suite "$parameters" "$err"; then
		run_limited "$command" "$out" "$err" || status=$?
	else
		echo "not ok 1 - the module can be loaded with $parameters" >"$out"
		status=125
	fi
	unload_modules "$err" || unloaded=1
	kernel_says "end $name"
	echo "$name $status $unloaded $(($(now_ms) - start))" >>"$RUN/results"
}

# Leaves out what the kernel loses by itself: at boot, and (7.3) TTM's page pools, whose lru lists are never destroyed.
own_leaks() {
	awk 'function flush() { if (text != "" && text !~ /comm "swapper\/0"/ && text !~ /ttm_pool_type_init/) printf "%s", text; text = "" }
		/^unreferenced object/ { flush() } { text = text $0 "\n" } END { flush() }'
}

# Memory that nothing points to any more. The detector leaves out what is younger than five seconds, and
# what has changed since the scan before.
check_leaks() {
	local file=/sys/kernel/debug/kmemleak start
	[ -w "$file" ] || return 0
	start=$(now_ms)
	kernel_says "begin leaks"
	sleep 5.5
	for _ in 1 2 3; do
		echo scan >"$file"
		sleep 0.3
	done
	own_leaks <"$file" >"$RUN/leaks.err"
	if [ -s "$RUN/leaks.err" ]; then
		sed 's/^/# /' "$RUN/leaks.err" | cat <(echo "not ok 1 - no memory is leaked") - >"$RUN/leaks.out"
	else
		echo "ok 1 - no memory is leaked" >"$RUN/leaks.out"
	fi
	kernel_says "end leaks"
	echo "leaks 0 0 $(($(now_ms) - start))" >>"$RUN/results"
}

# What the boot left unreferenced isn't ours.
forget_earlier_leaks() {
	local file=/sys/kernel/debug/kmemleak
	[ -w "$file" ] || return 0
	echo scan >"$file"
	echo clear >"$file"
}

run_suites() {
	local name parameters command
	: >"$RUN/results"
	forget_earlier_leaks
	while IFS='|' read -r name parameters command; do
		run_suite "$name" "$parameters" "$command"
	done <"$RUN/suites"
	check_leaks
	return 0
}
