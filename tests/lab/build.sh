# shellcheck shell=bash
# Builds the tree inside the guests' userland: library, tests and programs once, the modules once per kernel.

# kernel_dir ROLE: what an out-of-tree module is built against.
kernel_dir() {
	case $1 in
	debug | fast) uml_dir "$1" ;;
	*) printf '/usr/lib/modules/%s/build\n' "$(kernel_version "$1")" ;;
	esac
}

# What comes before every module build of that role: make, the kernel, the options.
module_make() {
	local role=$1
	printf '%s\0' make -C "$(kernel_dir "$role")" W=1 CONFIG_DRM_DROVER=m CONFIG_DRM_DROVER_TEST_HOOKS=y KCFLAGS=-Werror
	case $role in
	debug | fast) printf '%s\0' ARCH=um CONFIG_DRM_DROVER_KUNIT_TEST=m ;;
	esac
}

# Copies what modules are made of, keeping the time stamps, so that only what changed is compiled again.
copy_module_sources() {
	local to=$1 dir
	for dir in kernel include tests/modules; do
		[ -d "$TREE/$dir" ] || continue
		mkdir -p "$to/$dir"
		rsync -a --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod' --exclude='*.mod.c' --exclude='.*' \
			--exclude=Module.symvers --exclude=modules.order --exclude=built-in.a "$TREE/$dir/" "$to/$dir/" || return 1
	done
}

# compile_modules ROLE [MAKE-ARGUMENT...]
compile_modules() {
	local to=$BUILD/kernel/$1 make dir
	mapfile -d '' make < <(module_make "$1")
	shift
	copy_module_sources "$to" || return 1
	for dir in kernel tests/modules; do
		[ -e "$to/$dir/Kbuild" ] || continue
		"${make[@]}" -j"$(nproc)" "$@" M="$to/$dir" modules || return 1
	done
}

compile_userspace() {
	local dir=$BUILD/root
	[ -e "$dir/build.ninja" ] || meson setup -Dwerror=true "$dir" "$TREE" || return 1
	ninja -C "$dir"
}

# inside FUNCTION ARG...: runs one of these functions in the userland.
inside() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	in_root bash -c 'TREE=$1 ROOT=$2 KSRC=$3; shift 3
		for part in lib root uml build; do . "$TREE/tests/lab/$part.sh"; done
		CACHE=$1 ROOT=/; shift; "$@"' - "$TREE" "$ROOT" "${KSRC:-}" "$CACHE" "$@"
}

build_userspace() {
	[ -e "$TREE/meson.build" ] || return 0
	long_step "building the library and the tests" "$BUILD/log/userspace.log" \
		"The compiler's messages are above." "" 0 inside compile_userspace
}

# build_modules ROLE
build_modules() {
	[ -e "$TREE/kernel/Kbuild" ] || [ -e "$TREE/tests/modules/Kbuild" ] || return 0
	long_step "building the modules for $1" "$BUILD/log/modules-$1.log" \
		"The compiler's messages are above." "" 0 inside compile_modules "$1"
}

# compile WHAT...: "userspace" and roles. One ./dev at a time per tree.
compile() {
	local what
	take_lock "$BUILD" "compiling this tree"
	for what in "$@"; do
		case $what in
		userspace) build_userspace ;;
		*) build_modules "$what" ;;
		esac
	done
	drop_lock
}

# need_kernel ROLE: everything that booting that kernel takes.
need_kernel() {
	case $1 in
	debug | fast)
		need_source
		need_uml "$1"
		;;
	esac
}

# ./dev format: userspace code as .clang-format says, with the userland's clang-format (versions differ).
cmd_format() {
	local sources
	set_up
	cd "$TREE" || return
	mapfile -t sources < <(find src include/drover tests layers -path tests/modules -prune -o -name '*.[ch]' -print 2>/dev/null)
	in_root clang-format -i "${sources[@]}"
}
