# shellcheck shell=bash
# ./dev test: which suites run where, in as few boots as possible, and the counting.

SUITES=$TREE/tests/suites

# The table without comments, as "name|where|processors|parameters|command".
suite_table() { sed -e 's/^[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]]*|[[:space:]]*/|/g' "$SUITES"; }

# suites_for WHERE NAME...: the table's lines for a kernel, "host" or "dev"; only the names given, if any.
suites_for() {
	local where=$1
	shift
	suite_table | awk -F'|' -v where="$where" -v names=" $* " '
		{ n = split($2, at, ","); here = 0; for (i = 1; i <= n; i++) if (at[i] == where) here = 1 }
		here && (names ~ /^ *$/ || index(names, " " $1 " ")) { print }'
}

test_usage() {
	cat <<-END
	./dev test [SUITE…] [--kernel debug|new|lts] [--timeout SECONDS]: runs the suites named (all without names) on the kernels they
	belong to (or on that one), and ends with "N passed, N failed, N skipped".
	--timeout is the time that a suite in a guest may take (600).
	The table of suites is tests/suites:
	END
	suite_table | awk -F'|' '{ printf "  %-10s %s\n", $1, $2 }'
}

check_suite_names() {
	local name known
	known=" $(suite_table | cut -d'|' -f1 | tr '\n' ' ')"
	for name in "$@"; do
		case $known in *" $name "*) ;; *) die "there is no suite '$name'. The suites are:$known" ;; esac
	done
}

# count_tap FILE: "passed failed skipped" of what a suite said.
count_tap() {
	awk '/^ok / { if (tolower($0) ~ /# skip/) s++; else p++ } /^not ok / { f++ } END { print p + 0, f + 0, s + 0 }' "$1"
}

# Failed tests with their explanations.
failed_tests() { awk '/^(not )?ok / { show = /^not/ } show && (/^not ok / || /^ *#/ || /^  /) { print "    " $0 }' "$1"; }

skipped_tests() { grep -i '^ok .*# skip' "$1" | sed 's/^/    /'; }

# tally WHERE NAME STATUS UNLOADED MS OUT ERR KERNEL-REPORT: one line for a suite, and what went wrong. Adds to COUNTS.
tally() {
	local where=$1 name=$2 status=$3 unloaded=$4 ms=$5 out=$6 err=$7 report=$8 passed failed skipped why=()
	read -r passed failed skipped < <(count_tap "$out")
	[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || why+=("the command ended with status $status")
	[ "$unloaded" -eq 0 ] || why+=("the module can't be unloaded any more")
	[ -z "$report" ] || why+=("the kernel complained")
	[ $((passed + failed + skipped)) -gt 0 ] || [ "${#why[@]}" -gt 0 ] || why+=("no test ran")
	failed=$((failed + ${#why[@]}))
	echo "$passed $failed $skipped" >>"$COUNTS"
	{
		printf '%-6s %-10s %4d passed %3d failed %3d skipped %7d.%d s\n' "$where" "$name" "$passed" "$failed" "$skipped" \
			$((ms / 1000)) $((ms % 1000 / 100))
		[ "$skipped" -eq 0 ] || skipped_tests "$out"
		[ "$failed" -eq 0 ] || explain_failure "$where" "$name" "$out" "$err" "$report" "${why[@]}"
	} | output
}

# Lines of two guests that run at the same time don't mix.
output() {
	local text
	text=$(cat)
	(
		flock 9
		printf '%s\n' "$text"
	) 9>"$COUNTS.lock"
}

explain_failure() {
	local where=$1 name=$2 out=$3 err=$4 report=$5
	shift 5
	failed_tests "$out" | head -n 300
	[ $# -eq 0 ] || printf '    %s\n' "$@"
	tail -n 40 "$err" 2>/dev/null | sed 's/^/    /'
	[ -z "$report" ] || printf '%s\n' "$report" | head -n 120 | sed 's/^/    | /'
	case $where in
	host | dev) echo "    again: ./dev test $name" ;;
	*) echo "    again: ./dev test $name --kernel $where   (files: ${out%.out}.*, ${out%/*}/kernel.log)" ;;
	esac
}

# run_host_suite LINE: here, or in the userland.
run_host_suite() {
	local name where command start status=0 out
	IFS='|' read -r name where _ _ command <<<"$1"
	out=$TEST_RUN/$name
	start=$(date +%s%3N)
	cd "$TREE" || return
	case $where in
	host) in_root env KSRC="$KSRC" UML="$(uml_dir debug)" bash -c "$command" >"$out.out" 2>"$out.err" </dev/null || status=$? ;;
	dev) bash -c "$command" >"$out.out" 2>"$out.err" </dev/null || status=$? ;;
	esac
	tally "$where" "$name" "$status" 0 $(($(date +%s%3N) - start)) "$out.out" "$out.err" ""
}

# The kernel's log may come a moment after the suite's result.
wait_for_mark() {
	for _ in {1..50}; do
		! grep -q "drover-lab: end $1"$'\r\\?$' "$RUN/kernel.log" || return 0
		sleep 0.1
	done
}

# report_result ROLE "NAME STATUS UNLOADED MS"
report_result() {
	local role=$1 name status unloaded ms report
	read -r name status unloaded ms <<<"$2"
	wait_for_mark "$name"
	report=$("$LAB/judge" "$role" "$name" "$RUN/kernel.log") || true
	tally "$role" "$name" "$status" "$unloaded" "$ms" "$RUN/$name.out" "$RUN/$name.err" "$report"
}

# Reports what is new in RUN/results. REPORTED counts the lines.
report_results() {
	local role=$1 line lines
	mapfile -t lines < <(tail -n +$((REPORTED + 1)) "$RUN/results" 2>/dev/null)
	for line in "${lines[@]}"; do
		report_result "$role" "$line"
		REPORTED=$((REPORTED + 1))
	done
}

# The guest ended in the middle of the first suite that has no result: that one has failed. Sets LEFT to the others.
report_death() {
	local role=$1 name report
	name=$(head -n $((REPORTED + 1)) "$RUN/suites" | tail -n +$((REPORTED + 1)) | cut -d'|' -f1)
	mapfile -t LEFT < <(tail -n +$((REPORTED + 2)) "$RUN/suites")
	name=${name:-boot}
	touch "$RUN/$name.out" "$RUN/$name.err"
	report=$("$LAB/judge" "$role" "$name" "$RUN/kernel.log") || true
	[ -n "$report" ] || report=$(tail -n 30 "$RUN/kernel.log" "$RUN/guest.log" 2>/dev/null)
	echo "the guest died ($(cat "$RUN/verdict" 2>/dev/null))" >>"$RUN/$name.err"
	tally "$role" "$name" 125 0 0 "$RUN/$name.out" "$RUN/$name.err" "$report"
}

# boot_suites ROLE CPUS BOOT LINE...: one boot; sets LEFT to the suites that are still to be run.
boot_suites() {
	local role=$1 cpus=$2 boot=$3 limit
	shift 3
	new_run "$role" "${TEST_RUN#"$BUILD/"}/$role-$cpus-$boot"
	printf '%s\n' "$@" >"$RUN/suites"
	echo "$TIMEOUT" >"$RUN/limit"
	limit=$((180 + $# * (TIMEOUT + 30)))
	REPORTED=0
	LEFT=()
	boot_in_background "$role" "$RUN" "$cpus" "$limit" 0 </dev/null >/dev/null
	# shellcheck disable=SC2153 # set by boot_in_background
	while kill -0 "$GUEST" 2>/dev/null; do
		report_results "$role"
		sleep 0.2
	done
	wait "$GUEST" || true
	report_results "$role"
	[ -s "$RUN/status" ] || report_death "$role"
}

# run_role ROLE NAME...: all suites of a kernel, in one boot per number of processors (and one more per death).
run_role() {
	local role=$1 cpus lines boot
	shift
	for cpus in $(suites_for "$role" "$@" | awk -F'|' -v d="$(default_cpus "$role")" '{ print $3 == "-" ? d : $3 }' | sort -nu); do
		mapfile -t lines < <(suites_for "$role" "$@" | awk -F'|' -v d="$(default_cpus "$role")" -v cpus="$cpus" \
			'($3 == "-" ? d : $3) == cpus { sub(/^[^|]*\|[^|]*\|[^|]*\|/, $1 "|"); print }')
		boot=1
		while [ "${#lines[@]}" -gt 0 ]; do
			boot_suites "$role" "$cpus" "$boot" "${lines[@]}"
			lines=("${LEFT[@]}")
			boot=$((boot + 1))
		done
	done
}

# The kernels that the chosen suites belong to.
roles_of() {
	local role
	for role in debug new lts; do
		[ -z "$(suites_for "$role" "$@")" ] || echo "$role"
	done
}

run_host_suites() {
	local where=$1 line lines
	shift
	mapfile -t lines < <(suites_for "$where" "$@")
	for line in "${lines[@]}"; do run_host_suite "$line"; done
}

# In a subshell: takes its own guests with it when it ends.
as_lane() {
	GUESTS=()
	trap end_guests EXIT
	trap 'exit 130' INT TERM HUP
}

# A User Mode Linux with one processor and a QEMU guest share two cores without being in each other's way.
run_guests() {
	local qemu=() role lanes=()
	for role in $ROLES_CHOSEN; do [ "$role" = debug ] || qemu+=("$role"); done
	case " $ROLES_CHOSEN " in *" debug "*)
		(as_lane; run_role debug "$@") &
		lanes+=("$!")
		;;
	esac
	(as_lane; for role in "${qemu[@]}"; do run_role "$role" "$@"; done) &
	lanes+=("$!")
	GUESTS+=("${lanes[@]}")
	wait "${lanes[@]}" || die "the lab itself failed; see the messages above"
}

print_sum() {
	awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit !(f == 0 && p > 0) }' "$COUNTS"
}

# What a ./dev test leaves is in build/test/run-PID, for as long as no other one starts after it has ended.
new_test_run() {
	local dir
	for dir in "$BUILD"/test/run-*; do
		kill -0 "${dir##*-}" 2>/dev/null || rm -rf "$dir"
	done
	TEST_RUN=$BUILD/test/run-$$
	rm -rf "$TEST_RUN"
	mkdir -p "$TEST_RUN"
	COUNTS=$TEST_RUN/counts
	: >"$COUNTS"
}

cmd_test() {
	local role="" names=()
	# Shaders take their time where a processor is emulated.
	TIMEOUT=600
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) role=${2:?--kernel needs a name}; known_role "$role"; shift 2 ;;
		--timeout) TIMEOUT=${2:?--timeout needs seconds}; shift 2 ;;
		--help | -h) test_usage; return 0 ;;
		-*) die "test: no option '$1'; see ./dev test --help" ;;
		*) names+=("$1"); shift ;;
		esac
	done
	check_suite_names "${names[@]}"
	ROLES_CHOSEN=${role:-$(roles_of "${names[@]}" | tr '\n' ' ')}
	# shellcheck disable=SC2086,SC2046 # lists
	set_up userspace $ROLES_CHOSEN $(host_needs "$role" "${names[@]}")
	say_kernels
	new_test_run
	if [ -z "$role" ]; then
		run_host_suites host "${names[@]}"
		run_host_suites dev "${names[@]}"
	fi
	run_guests "${names[@]}"
	print_sum
}

# What the suites outside of guests need: the debug kernel's source and build; those that run ./dev also the modules.
host_needs() {
	local role=$1
	shift
	[ -z "$role" ] || return 0
	[ -z "$(suites_for host "$@")" ] || echo bare-debug
	[ -z "$(suites_for dev "$@")" ] || echo debug new
}

say_kernels() {
	say "kernels: lts = $(kernel_name lts), new = $(kernel_name new), debug = $(kernel_name debug)"
}
