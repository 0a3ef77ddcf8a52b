#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What berth-engine runs on a host over SSH: sh -c THIS berth-deploy STEP ARGUMENT... It is part of the engine (script.c); deploy.c says which steps when.
#
#	facts                                what the host is: lines of NAME=VALUE
#	authorize                            standard input: a line for the user's authorized_keys
#	package NAME SIZE SHA256             standard input: the agent's package, installed whatever version is there
#	request                              a new key beside the agent's; prints the request for a certificate
#	certificate                          standard input: the certificate for it, then those of the CA; all are in place afterwards
#	start PORT                           the agent listens there, now and after each boot
#	image SIZE SHA256                    standard input: the image of a rhev-h host, which installs itself from it and reboots
#
# All but facts and authorize need root. Each step may be repeated, also when it was cut off at any point. The last line of standard error says what failed.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
config=/etc/berth/agent.conf
pki=/etc/pki/berth
updates=/data/updates
upgrade=/usr/share/vdsm-reg/vdsm-upgrade

die() {
	echo "$*" >&2
	exit 1
}

# setting SECTION KEY DEFAULT: as the agent reads it
setting() {
	value=$(awk -v s="[$1]" -v k="$2" '/^\[/ { on = $0 == s; next }
		on && match($0, "^" k " *= *") { print substr($0, RLENGTH + 1) }' "$config" 2>/dev/null | tail -n 1)
	echo "${value:-$3}"
}

# set_setting SECTION KEY VALUE
set_setting() {
	mkdir -p "${config%/*}"
	touch "$config"
	awk -v s="[$1]" -v k="$2" -v v="$3" '/^\[/ { on = $0 == s }
		on && match($0, "^" k " *=") { next }
		{ print }
		on && $0 == s && !done { print k "=" v; done = 1 }
		END { if (!done) print s "\n" k "=" v }' "$config" > "$config.new"
	chmod 644 "$config.new"
	mv "$config.new" "$config"
}

# receive FILE SIZE SHA256: standard input, whole or not at all
receive() {
	cat > "$1"
	got=$(stat -c %s "$1")
	[ "$got" = "$2" ] || die "only $got of $2 bytes have arrived"
	[ "$(sha256sum < "$1" | cut -d' ' -f1)" = "$3" ] || die "what has arrived has another SHA-256 than what was sent"
}

facts() {
	(
		. /etc/os-release
		echo "os=$ID ${VERSION_ID:-}"
	)
	! command -v dpkg >/dev/null || echo "architecture=$(dpkg --print-architecture)"
	echo "agent=$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}' berth-agent 2>/dev/null | sed -n 's/^ii *//p')"
	echo "uid=$(id -u)"
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || die "user $(id -un) is not root and may not become root without a password (sudo -n)"
}

authorize() {
	umask 077
	read -r line
	file=$HOME/.ssh/authorized_keys
	mkdir -p "${file%/*}"
	! grep -qxF "$line" "$file" 2>/dev/null || return 0
	# a file whose last line has no end
	[ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || echo >> "$file"
	echo "$line" >> "$file"
}

# apt WORD...: into a file, so that it goes on when the connection is cut; on failure what it said last
apt() {
	# a mask that lets the packages' files be read, whatever ours is
	umask 022
	apt-get -y -q -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" > "$dir/log" 2>&1 < /dev/null && return
	grep -v '^$' "$dir/log" | tail -n 20 >&2
	reason=$(grep -E '^E:|dpkg: error|subprocess returned| : Depends' "$dir/log" | head -n 3 | tr -s ' \n' ' ')
	die "apt-get: ${reason:-it failed}"
}

package() {
	umask 022
	dir=$(mktemp -d /var/tmp/berth-deploy.XXXXXX)
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 1' HUP INT TERM
	# apt reads it as another user
	chmod 755 "$dir"
	receive "$dir/$1" "$2" "$3"
	echo "received"
	# What was cut off the last time. An agent that is there in part only is no way for apt to the same version.
	dpkg --configure -a > "$dir/log" 2>&1 < /dev/null || tail -n 3 "$dir/log" >&2
	case $(dpkg-query -W -f '${db:Status-Abbrev}' berth-agent 2>/dev/null) in
	'' | ii* | un* | rc*) ;;
	*) dpkg --remove --force-remove-reinstreq berth-agent > "$dir/log" 2>&1 < /dev/null || tail -n 3 "$dir/log" >&2 ;;
	esac
	set -- "$dir/$1"
	command -v openssl >/dev/null || set -- "$1" openssl
	# a host that has never fetched the lists
	apt-get -s -o DPkg::Lock::Timeout=120 --allow-downgrades install "$@" > /dev/null 2>&1 < /dev/null || apt update
	apt --allow-downgrades install "$@"
}

request() {
	umask 077
	key=$(setting tls key "$pki/agent.key")
	mkdir -p "${key%/*}"
	chmod 755 "${key%/*}"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$key.new" -subj /CN=berth-agent 2>/dev/null ||
		die "openssl cannot make a key in $key.new"
}

# The agent itself goes on with CERT.new and KEY.new when it starts and this was cut off between the two.
certificate() {
	umask 022
	key=$(setting tls key "$pki/agent.key") cert=$(setting tls cert "$pki/agent.pem") ca=$(setting tls ca "$pki/ca.pem")
	mkdir -p "${cert%/*}" "${ca%/*}"
	cat > "$cert.got"
	sed '1,/END CERTIFICATE/d' "$cert.got" > "$ca.got"
	sed -i '/END CERTIFICATE/q' "$cert.got"
	[ "$(openssl x509 -noout -pubkey -in "$cert.got")" = "$(openssl pkey -pubout -in "$key.new")" ] || die "the certificate is not for the key in $key.new"
	openssl x509 -noout -in "$ca.got" || die "no certificate of the CA has arrived"
	sync "$cert.got" "$ca.got" "$key.new"
	mv "$ca.got" "$ca"
	mv "$cert.got" "$cert.new"
	mv "$key.new" "$key"
	mv "$cert.new" "$cert"
}

start() {
	umask 022
	[ "$(setting rpc port 54321)" = "$1" ] || set_setting rpc port "$1"
	command -v systemctl >/dev/null || die "there is no systemctl: this host is not run by systemd, so the agent has to be started by its own means"
	systemctl daemon-reload || die "systemctl daemon-reload failed"
	systemctl enable berth-agent.service || die "the service berth-agent cannot be enabled"
	systemctl restart berth-agent.service ||
		die "the service berth-agent does not start: $(journalctl -q -u berth-agent.service -n 3 -o cat --no-pager 2>/dev/null | tr '\n' ' ')"
}

image() {
	[ -x "$upgrade" ] || die "there is no $upgrade: this is not a rhev-h host"
	mkdir -p "$updates"
	file=$updates/ovirt-node-image.iso
	trap 'rm -f "$file.part"' EXIT
	trap 'exit 1' HUP INT TERM
	receive "$file.part" "$1" "$2"
	sync "$file.part"
	mv "$file.part" "$file"
	echo "received"
	"$upgrade" < /dev/null || die "$upgrade failed with status $?"
}

step=$1
shift
"$step" "$@"
