#!/bin/sh
# Installs what tests and benchmarks need, where it is missing, from Debian's packages, and with
# node the npm packages of tools/package-lock.json:
#
#     tools/setup.sh NAME...        mariadb redis chromium nginx wrk node curl cc exiftool vips heif prometheus guide
#
# guide fetches the packages that docs/deploy.md installs, and does not install them.
#
# Only programs: no service is left running. Where this user may not install them, it says what
# to install and succeeds, since tests skip what they can't have, loudly; it fails where
# GATEHOUSE_TEST_NO_SKIP=1 forbids that.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where Debian keeps mariadbd and nginx
export DEBIAN_FRONTEND=noninteractive

has() {
	command -v "$1" >/dev/null 2>&1
}

has_chinese_font() {
	fc-list :lang=zh 2>/dev/null | grep -q . || ls /usr/share/fonts/*/noto/*CJK* >/dev/null 2>&1
}

# missing prints the packages that a name lacks.
missing() {
	case $1 in
	mariadb)
		has mariadbd && has mariadb-install-db || echo mariadb-server-core mariadb-client-core
		has mariadb-dump || echo mariadb-client
		;;
	redis) has redis-server || echo redis-server ;;
	chromium)
		has chromium || has chromium-browser || has google-chrome || echo chromium
		has_chinese_font || echo fonts-noto-cjk
		;;
	nginx) has nginx || echo nginx-light ;;
	node) has node && has npm || echo nodejs npm ;;
	exiftool) has exiftool || echo libimage-exiftool-perl ;;
	heif) has heif-enc && has heif-convert || echo libheif-examples ;;
	prometheus) has promtool || echo prometheus ;;
	vips) has vipsthumbnail || echo libvips-tools ;;
	cc) has gcc || echo gcc libc6-dev ;; # for the race detector
	wrk | curl) has "$1" || echo "$1" ;;
	guide) ;; # see have_guide_packages
	*)
		echo "tools/setup.sh: unknown name: $1" >&2
		return 2
		;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

may_install() {
	has apt-get && { [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }; }
}

apt_install() {
	as_root apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# forbid_services keeps packages from starting the services that they bring, until the script ends.
forbid_services() {
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'as_root rm -f $policy' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod 755 $policy
	fi
}

# install_packages asks for fresh package lists only where the ones at hand don't do.
install_packages() {
	forbid_services
	log=$(mktemp)
	if apt_install "$@" >"$log" 2>&1 ||
		{ as_root apt-get update --quiet && apt_install "$@"; } >"$log" 2>&1; then
		rm -f "$log"
	else
		tail -n 20 "$log" >&2
		rm -f "$log"
		return 1
	fi
	for package in "$@"; do
		case $package in
		nginx-light) disable_service nginx ;;
		prometheus) disable_service prometheus ;;
		redis-server) disable_service redis-server ;;
		esac
	done
}

# disable_service keeps a service that a package brought from starting with the machine.
disable_service() {
	! has systemctl || as_root systemctl disable "$1" >/dev/null 2>&1 || true
}

# have_packages installs packages, or says which a person must install.
have_packages() {
	[ $# -gt 0 ] || return 0
	if may_install; then
		echo "tools/setup.sh: installing $*"
		install_packages "$@" && return 0
	fi
	echo "tools/setup.sh: MISSING, please install: sudo apt-get install --no-install-recommends $*" >&2
	return 1
}

# have_npm_packages installs what the lock file pins, where it hasn't since the file last changed.
have_npm_packages() {
	has npm || return 1
	cd "$(dirname "$0")"
	[ node_modules/.package-lock.json -nt package-lock.json ] && return 0
	echo "tools/setup.sh: installing the npm packages of tools/package-lock.json"
	npm ci --silent && return 0
	echo "tools/setup.sh: MISSING, please run: npm ci --prefix tools" >&2
	return 1
}

# have_guide_packages fetches what a copy of this machine, which has no network, can then install.
have_guide_packages() {
	may_install || return 0 # the guide's test needs root too, and says so
	fetch=$(sed -n 's/^apt-get install .*/& --download-only --quiet/p' "$(dirname "$0")/../docs/deploy.md")
	as_root $fetch >/dev/null 2>&1 || { as_root apt-get update --quiet && as_root $fetch; } >/dev/null && return 0
	echo "tools/setup.sh: MISSING, please run: $fetch" >&2
	return 1
}

packages=
for name in "$@"; do
	lacking=$(missing "$name")
	packages="$packages $lacking"
done
complete=1
have_packages $packages || complete=0 # unquoted: the words are package names
case " $* " in
*" guide "*) have_guide_packages || complete=0 ;;
esac
case " $* " in
*" node "*) have_npm_packages || complete=0 ;;
esac
[ $complete = 1 ] || [ "${GATEHOUSE_TEST_NO_SKIP:-}" != 1 ]
