# shellcheck shell=bash
# Guests: ./dev vm, and what tests, demo and benches use to run something in one.
# A run has a directory, build/vm/NAME or build/test/…, which both sides see: what to do is written there before the boot; stdin, stdout,
# stderr, status and the kernel's log are found there afterwards.

TIMEOUT=300

# Whether KVM runs an ordinary guest here: tried once per host kernel, by booting one.
accel_args() {
	local answer
	answer=$CACHE/kvm-$(uname -r)
	[ -e "$answer" ] || try_kvm "$answer"
	case $(cat "$answer") in
	yes) echo "-accel kvm -cpu host" ;;
	*) echo "-accel tcg,thread=multi -cpu max" ;;
	esac
}

try_kvm() {
	local answer=$1
	if [ ! -w /dev/kvm ]; then
		echo no >"$answer"
		return 0
	fi
	say "trying whether KVM works here …"
	new_run new vm/kvm
	printf 'true\0' >"$RUN/command"
	BOOT_BY="" ACCEL="-accel kvm -cpu host" boot new "$RUN" 2 20 0 </dev/null >/dev/null || true
	if [ "$(cat "$RUN/status" 2>/dev/null)" = 0 ]; then echo yes; else echo no; fi >"$answer"
	say "KVM: $(cat "$answer")"
}

# new_run ROLE NAME: an empty run directory; sets RUN. The modules are copied there: a build that comes later doesn't
# change what a running guest loads.
new_run() {
	local ko
	RUN=$BUILD/$2
	rm -rf "$RUN"
	mkdir -p "$RUN/modules"
	for ko in "$BUILD/kernel/$1"/{kernel,tests/modules}/*.ko; do
		[ ! -e "$ko" ] || cp "$ko" "$RUN/modules/"
	done
	: >"$RUN/stdin"
	: >"$RUN/stdout"
	: >"$RUN/stderr"
	: >"$RUN/command"
	: >"$RUN/kernel.log"
	printf '%s' "$PWD" >"$RUN/directory"
	# What the caller says to the programs by environment goes along.
	env -0 | grep -z -E '^(DROVER|VK|MESA|LP|CMOCKA|GALLIUM|G)_[A-Z0-9_]*=' >"$RUN/environment" || true
}

# boot ROLE RUN CPUS LIMIT TTY: one guest, from power-on to power-off.
boot() {
	local role=$1
	case $role in
	debug | fast)
		UML=$(uml_dir "$role")
		mkdir -p "$ROOT/usr/lib/modules/$(basename "$UML"/root/lib/modules/*)"
		export UML
		;;
	*)
		KERNEL=/boot/vmlinuz-$(kernel_version "$role")
		ACCEL=${ACCEL:-$(accel_args)}
		export KERNEL ACCEL
		;;
	esac
	export TREE ROOT
	${BOOT_BY:-} setpriv --pdeathsig KILL unshare -m -p --fork --kill-child=KILL --propagation private "$LAB/enter-root" "$ROOT" "$TREE" "$CACHE" "$PWD" \
		"$LAB/run-guest" "$@"
}

# boot_in_background ...: as boot; sets GUEST, which is gone when ./dev goes.
boot_in_background() {
	BOOT_BY="exec" boot "$@" <&0 &
	GUEST=$!
	GUESTS+=("$GUEST")
}

GUESTS=()
end_guests() {
	local pid
	for pid in "${GUESTS[@]}"; do kill "$pid" 2>/dev/null || true; done
	[ -z "${TTY_STATE:-}" ] || stty "$TTY_STATE" </dev/tty
	give_back_tree
}

# stdin that isn't a terminal is read to its end first: the guest gets it as a file.
spool_stdin() {
	[ -t 0 ] || [ ! -e /proc/self/fd/0 ] || cat >"$RUN/stdin"
}

# The tasks of the dump that somebody may be waiting for: no idle workers, no scheduler statistics.
dumped_tasks() {
	tr -d '\r' <"$1" | awk '/^drover-lab: time limit/ { on = 1 } !on { next }
		/task:/ { skip = /state:I/ || /task:(rcu_|migration|cpuhp|ksoftirqd|kthreadd|pool_workqueue|idle_inject|khungtaskd|kswapd|kcompactd|oom_reaper|kdevtmpfs|hwrng|kauditd|watchdogd)/ }
		/Sched Debug Version/ { skip = 1 } /Showing busy workqueues|Showing all locks/ { skip = 0 }
		!skip { print }' | head -n 300
}

# explain_end ROLE: why the guest ended, if not by itself with a status. Sets STATUS.
explain_end() {
	STATUS=125
	if [ "$(cat "$RUN/verdict" 2>/dev/null)" = timeout ]; then
		STATUS=124
		dumped_tasks "$RUN/kernel.log" >&2
		say "the guest ran into its time limit of $TIMEOUT s (--timeout SECONDS). Above: what its tasks were doing; all of it is in $RUN/kernel.log"
	elif [ -s "$RUN/status" ]; then
		STATUS=$(cat "$RUN/status")
	else
		tail -n 40 "$RUN/kernel.log" "$RUN/guest.log" >&2 2>/dev/null || true
		say "the guest died. Above: its last words; all of them are in $RUN/kernel.log"
	fi
}

# judge_run ROLE: a kernel report fails the run, whatever the command said.
judge_run() {
	local report
	report=$("$LAB/judge" "$1" "" "$RUN/kernel.log") && return 0
	printf '%s\n' "$report" >&2
	say "the kernel complained during the run (above); its log is $RUN/kernel.log"
	[ "$STATUS" -ne 0 ] || STATUS=1
}

run_attached() {
	local role=$1 cpus=$2 size
	TTY_STATE=$(stty -g </dev/tty)
	size=$(stty size </dev/tty)
	echo "$size" >"$RUN/terminal"
	stty raw -echo </dev/tty
	# The terminal is opened anew: flags that the guest sets on it don't reach the caller's descriptors.
	boot "$role" "$RUN" "$cpus" "$TIMEOUT" 1 </dev/tty >/dev/tty
	stty "$TTY_STATE" </dev/tty
	TTY_STATE=
	cat "$RUN/stderr" >&2
}

run_detached() {
	local role=$1 cpus=$2 followers
	spool_stdin
	boot_in_background "$role" "$RUN" "$cpus" "$TIMEOUT" 0 </dev/null >/dev/null
	tail -q -c +1 -s 0.1 -f --pid="$GUEST" "$RUN/stdout" &
	followers=$!
	tail -q -c +1 -s 0.1 -f --pid="$GUEST" "$RUN/stderr" >&2 &
	wait "$GUEST" || true
	wait "$followers" "$!" || true
}

# run_in_guest ROLE CPUS COMMAND...: with the run directory RUN prepared. Sets STATUS.
run_in_guest() {
	local role=$1 cpus=$2
	shift 2
	[ $# -eq 0 ] || printf '%s\0' "$@" >"$RUN/command"
	if [ -t 0 ] && [ -t 1 ]; then run_attached "$role" "$cpus"; else run_detached "$role" "$cpus"; fi
	explain_end
	judge_run "$role"
}

default_cpus() { case $1 in debug | fast) echo 1 ;; *) echo 2 ;; esac; }

known_role() {
	case " $ROLES " in *" $1 "*) ;; *) die "there is no kernel '$1'. The kernels are: $ROLES" ;; esac
}

vm_usage() {
	cat <<-'END'
	./dev vm [OPTION…] [--] [COMMAND…]: runs COMMAND (a shell without one) in a guest with the module loaded and the tree
	mounted read-write at the same path.
	  --kernel debug|fast|new|lts  the kernel (debug)
	  --param NAME=VALUE           a parameter for the module; may come several times
	  --no-module                  don't load the module
	  --no-build                   take what is in build/ as it is
	  --cpus N                     processors (1 on debug and fast, 2 on new and lts)
	  --timeout SECONDS            ends the guest after that time (300; a shell: none)
	  --name NAME                  the run directory, build/vm/NAME (default: by process id, removed when all went well)
	Its exit status is the command's; 124 if the time ran out, 125 if the guest died or the module couldn't be loaded.
	A warning, oops, lockdep, KASAN or UBSAN report in the kernel's log makes it fail, whatever the command returned.
	END
}

cmd_vm() {
	local role=debug cpus="" params=() module=1 compile=1 name="" limit=""
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) role=${2:?--kernel needs a name}; known_role "$role"; shift 2 ;;
		--param) params+=("${2:?--param needs NAME=VALUE}"); shift 2 ;;
		--no-module) module=0; shift ;;
		--no-build) compile=0; shift ;;
		--cpus) cpus=${2:?--cpus needs a number}; shift 2 ;;
		--timeout) limit=${2:?--timeout needs seconds}; shift 2 ;;
		--name) name=${2:?--name needs a name}; shift 2 ;;
		--help | -h) vm_usage; return 0 ;;
		--) shift; break ;;
		-*) die "vm: no option '$1'; see ./dev vm --help" ;;
		*) break ;;
		esac
	done
	[ -n "$limit" ] || [ $# -gt 0 ] || limit=1000000
	TIMEOUT=${limit:-$TIMEOUT}
	if [ "$compile" -eq 1 ]; then set_up userspace "$role"; else set_up "bare-$role"; fi
	new_run "$role" "vm/${name:-run-$$}"
	[ "$module" -eq 0 ] || printf '%s\n' "${params[@]}" | sed '/^$/d' >"$RUN/parameters"
	run_in_guest "$role" "${cpus:-$(default_cpus "$role")}" "$@"
	[ "$STATUS" -ne 0 ] || [ -n "$name" ] || rm -rf "$RUN"
	return "$STATUS"
}
