# shellcheck shell=bash
# The guests' userland: a Debian trixie root with Mesa, libdrm and the kernels from its backports, made with
# mmdebstrap, once, in the cache. Its name carries a hash of its recipe.

ROOT_SUITE=trixie

root_key() { declare -f make_root | key_of "$LAB/packages" "$LAB/root-hook" -; }

known_mirror() {
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 ~ /^[a-z]+$/ && $2 == "main" && $3 ~ /debian\/?$/ && !uri { uri = $3 } END { print uri }'
}

# The package mirror that this machine uses, as apt knows it (once it has read its lists).
mirror() {
	local uri
	uri=$(known_mirror)
	[ -n "$uri" ] || { apt-get update >&2; uri=$(known_mirror); }
	[ -n "$uri" ] || die "apt on this machine knows no Debian mirror. Give it one in /etc/apt, run 'apt-get update', and try again."
	printf '%s\n' "$uri"
}

make_root() {
	local dir=$1 uri packages
	uri=$(mirror)
	packages=$(sed 's/#.*//' "$LAB/packages" | tr -s ' \n' ',')
	rm -rf "$dir"
	mmdebstrap --mode=root --variant=apt --format=directory --include="${packages#,}" \
		--aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--setup-hook="$LAB/root-hook setup \"\$1\"" --customize-hook="$LAB/root-hook finish \"\$1\"" \
		"$ROOT_SUITE" "$dir" "deb $uri $ROOT_SUITE main" "deb $uri $ROOT_SUITE-backports main"
}

# Packages unpacked so far.
root_packages() { find "$CACHE/$(basename "$ROOT").tmp/var/lib/dpkg/info" -name '*.list' | wc -l; }

first_root() {
	long_step "making the guests' userland (Debian $ROOT_SUITE)" "$CACHE/log/root.log" \
		"Often the network: check that 'apt-get update' works, then run the same command again." \
		root_packages 415 make_root "$ROOT.tmp"
	rm -rf "$ROOT"
	mv "$ROOT.tmp" "$ROOT"
}

# Sets ROOT, making it first if it isn't there.
need_root() {
	ROOT=$CACHE/root-$(root_key)
	once "$ROOT/usr/lib/drover-lab/kernels" first_root
	cmp -s "$LAB/root-init" "$ROOT/sbin/drover-init" || install -m 755 "$LAB/root-init" "$ROOT/sbin/drover-init"
}

# kernel_version ROLE: the release name of a stock kernel, as in /lib/modules.
kernel_version() { awk -v role="$1" '$1 == role { print $2 }' "$ROOT/usr/lib/drover-lab/kernels"; }

# kernel_name ROLE: for people.
kernel_name() {
	case $1 in
	debug | fast) echo "User Mode Linux $(kernel_version source | sed 's/linux-source-//')" ;;
	*) echo "Linux $(kernel_version "$1")" ;;
	esac
}
