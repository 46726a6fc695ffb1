# shellcheck shell=bash
# shellcheck disable=SC2034 # TIMEOUT is for run_in_guest
# Benchmarks: each in one boot of one guest. The program loads the module itself, in the modes that it compares.

bench_usage() {
	cat <<-'END'
	./dev bench NAME [OPTION…]: runs a benchmark in a guest; prints a table, writes build/bench/NAME.json and NAME.png
	  --kernel fast|new|lts|debug  the kernel (fast)
	  --cpus N                     processors (1 on fast and debug, 2 on new and lts)
	  --timeout SECONDS            ends the guest after that time (3600)
	END
	printf 'Benchmarks: %s\n' "$(bench_names)"
}

bench_names() {
	local name names=""
	for name in "$TREE"/tests/bench/*.c; do
		name=$(basename "$name" .c)
		case $name in bench | plot | report) ;; *) names+="$name " ;; esac
	done
	printf '%s\n' "${names% }"
}

# User Mode Linux runs each process of the guest as one of the host's, and the host leaves each where it is for seconds at
# a time: on another processor, with other work beside it, at a third of the speed. To a guest with one processor all
# are equally fast, so whoever compares processes there would measure the host. Hence one of the host's processors for all.
stay_on_one_processor() {
	local list
	list=$(taskset -cp "$BASHPID") || return 0
	taskset -cp "${list##*[!0-9]}" "$BASHPID" >/dev/null
}

cmd_bench() {
	local role=fast cpus="" name="" bench
	TIMEOUT=3600
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) role=${2:?--kernel needs a name}; known_role "$role"; shift 2 ;;
		--cpus) cpus=${2:?--cpus needs a number}; shift 2 ;;
		--timeout) TIMEOUT=${2:?--timeout needs seconds}; shift 2 ;;
		--help | -h) bench_usage; return 0 ;;
		-*) die "bench: no option '$1'; see ./dev bench --help" ;;
		*) [ -z "$name" ] || die "bench: one at a time; '$1' is too much"; name=$1; shift ;;
		esac
	done
	[ -n "$name" ] || { bench_usage >&2; die "bench: which one?"; }
	case " $(bench_names) " in
	*" $name "*) ;;
	*) die "bench: there is no '$name'. There are: $(bench_names)" ;;
	esac
	set_up userspace "$role"
	bench=$BUILD/root/tests/bench/bench_$name
	[ -x "$bench" ] || die "$bench wasn't built: json-c or cairo is missing in the userland"
	mkdir -p "$BUILD/bench/$role"
	new_run "$role" "vm/bench-$name"
	cpus=${cpus:-$(default_cpus "$role")}
	case $role:$cpus in debug:1 | fast:1) stay_on_one_processor ;; esac
	run_in_guest "$role" "$cpus" "$bench" "$BUILD/bench/$role" </dev/null
	[ "$STATUS" -eq 0 ] || return "$STATUS"
	rm -rf "$RUN"
	# The latest run of each; those of each kernel stay beside it.
	cp "$BUILD/bench/$role/$name".* "$BUILD/bench/"
}
