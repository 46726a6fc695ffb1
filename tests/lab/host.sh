# shellcheck shell=bash
# What the machine itself must have: only what makes the guests' userland. Everything else is in there.

HOST_PACKAGES="mmdebstrap debian-archive-keyring rsync util-linux"

host_has_all() { command -v mmdebstrap unshare flock >/dev/null && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; }

install_host_packages() {
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list
	apt-get update && apt-get install -y --no-install-recommends $HOST_PACKAGES
}

need_host() {
	case $(uname -m)-$(sed -n 's/^ID=//p' /etc/os-release) in
	x86_64-debian) ;;
	*) die "the lab runs on Debian 12 or 13 on x86-64; this is something else." ;;
	esac
	case $TREE$CACHE in *[[:space:],:=]*) die "the paths of the tree and of the cache may contain no space, comma, colon or equals sign." ;; esac
	host_has_all || take_lock "$CACHE" "setting up $CACHE"
	host_has_all || long_step "installing what this machine lacks ($HOST_PACKAGES)" "$CACHE/log/host.log" \
		"Check that 'apt-get update' works." "" 0 install_host_packages
	[ -z "${LOCK:-}" ] || drop_lock
}
