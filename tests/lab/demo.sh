# shellcheck shell=bash
# ./dev demo: the demo program, in a guest, once per way of importing, and the comparison.

DEMO_TIMEOUT=900

demo_usage() {
	cat <<-'END'
	./dev demo [--kernel debug|fast|new|lts]: two Vulkan applications, one on each of two virtual GPUs, share frames while the first needs
	three times its memory; once with pinned imports, once with imports that are evicted and remapped. Numbers on the terminal,
	pictures in build/demo/. On debug and fast (User Mode Linux) the shaders run at native speed;
	on new and lts they do with KVM only: emulated, a run takes an hour.
	END
}

cmd_demo() {
	local role=debug
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) role=${2:?--kernel needs a name}; known_role "$role"; shift 2 ;;
		--help | -h) demo_usage; return 0 ;;
		*) die "demo: no option '$1'; see ./dev demo --help" ;;
		esac
	done
	set_up userspace "$role"
	say "booting $(kernel_name "$role"); this takes a moment without KVM …"
	rm -rf "$BUILD/demo"
	mkdir -p "$BUILD/demo"
	new_run "$role" vm/demo
	# shellcheck disable=SC2034 # for run_in_guest
	TIMEOUT=$DEMO_TIMEOUT
	run_in_guest "$role" "$(default_cpus "$role")" "$LAB/guest-demo" "$BUILD/demo"
	[ "$STATUS" -eq 0 ] || die "the demo failed with status $STATUS; the kernel's log is $RUN/kernel.log"
	say "the pictures and numbers are in $BUILD/demo/"
	return "$STATUS"
}
