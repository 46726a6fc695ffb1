# shellcheck shell=bash
# The lab's own kernels, `debug` and `fast`: User Mode Linux built from the source of `new`, once per configuration,
# in the cache.

# The unpacked source of `new`. Its name says the version and what we append to it.
source_dir() {
	local version
	version=$(awk '$1 == "source" { print $3 }' "$ROOT/usr/lib/drover-lab/kernels" | tr -c 'A-Za-z0-9.\n' '-')
	printf '%s/src-%s-%s\n' "$CACHE" "$version" "$(key_of "$LAB/Kconfig.drover" "$LAB/uml-stacktrace.c")"
}

unpack_source() {
	local dir=$1 package
	package=$(awk '$1 == "source" { print $2 }' "$ROOT/usr/lib/drover-lab/kernels")
	rm -rf "$dir.tmp"
	mkdir -p "$dir.tmp"
	tar -xJf "$ROOT/usr/src/$package.tar.xz" -C "$dir.tmp" --strip-components=1 || return 1
	cat "$LAB/Kconfig.drover" >>"$dir.tmp/drivers/gpu/drm/Kconfig"
	cp "$LAB/uml-stacktrace.c" "$dir.tmp/arch/um/kernel/stacktrace.c" || return 1
	mv "$dir.tmp" "$dir"
}

# Sets KSRC, unpacking it first if it isn't there.
need_source() {
	KSRC=$(source_dir)
	once "$KSRC" long_step "unpacking the source of the newest kernel" "$CACHE/log/source.log" \
		"Check the free space of $CACHE." "" 0 unpack_source "$KSRC"
}

uml_configs() {
	printf '%s\n' "$LAB/uml-config"
	[ "$1" = fast ] || printf '%s\n' "$LAB/uml-config-debug"
}

# uml_dir ROLE: where the kernel of that role is (or will be) built.
uml_dir() {
	local configs
	mapfile -t configs < <(uml_configs "$1")
	printf '%s/uml-%s-%s\n' "$CACHE" "$1" "$( (printf '%s\n' "$KSRC"; cat "${configs[@]}") | key_of -)"
}

# Fails if an option that was asked for isn't in the configuration.
config_complete() {
	local dir=$1 line missing=0
	while read -r line; do
		case $line in
		*=n) ! grep -q "^${line%=n}=" "$dir/.config" || { echo "not off: $line"; missing=1; } ;;
		CONFIG_*) grep -qxF "$line" "$dir/.config" || { echo "missing: $line"; missing=1; } ;;
		esac
	done <"$dir/wanted"
	return "$missing"
}

build_uml() {
	local role=$1 dir=$2 configs
	mapfile -t configs < <(uml_configs "$role")
	mkdir -p "$dir"
	cat "${configs[@]}" >"$dir/wanted"
	in_root make -C "$KSRC" O="$dir" ARCH=um KCONFIG_ALLCONFIG="$dir/wanted" allnoconfig || return 1
	config_complete "$dir" || return 1
	in_root make -C "$dir" ARCH=um -j"$(nproc)" all || return 1
	in_root make -C "$dir" ARCH=um INSTALL_MOD_PATH="$dir/root" modules_install || return 1
	touch "$dir/complete"
}

uml_objects() { find "$UML_BUILD" -name '*.o' | wc -l; }

# need_uml ROLE: sets UML to the directory of that kernel, building it first if it isn't there. An interrupted
# build is continued.
need_uml() {
	local role=$1
	UML=$(uml_dir "$role")
	UML_BUILD=$UML
	once "$UML/complete" long_step "building the $role kernel (User Mode Linux, about 10 minutes on two cores, once)" "$CACHE/log/uml-$role.log" \
		"The same command continues where it stopped." uml_objects 900 build_uml "$role" "$UML"
}
