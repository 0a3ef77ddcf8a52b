# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# lib.sh - what shell tests share. A test starts with
#
#   #!/bin/bash
#   # SPDX-License-Identifier: Apache-2.0      (or "# exclusive" on line 2, then this on line 3)
#   # timeout: 60
#   . "$(dirname "$(readlink -f "$0")")/../lab/lib.sh"
#
# and ends with done_testing. Its scratch directory is $T, removed at the end (KEEP=1 keeps it); what it gave to
# at_exit is run before that, last first, whichever way it ends.
#
#   ok CONDITION-STATUS NAME     ok $? "it works"
#   check NAME COMMAND...        one point: the command succeeds (its output is shown only if not)
#   refuse NAME COMMAND...       one point: the command fails
#   is GOT EXPECTED NAME         like TEXT PATTERN NAME (bash pattern)        matches TEXT REGEX NAME
#   skip NAME REASON             skip_all REASON         diag TEXT            bail TEXT
#   requires COMMAND|FILE...     skips the whole test when one is missing
#   wait_for SECONDS COMMAND...  until the command succeeds, 90 s at least (a loaded machine); only where nothing tells us by an event
#   start_daemon NAME COMMAND... returns when the daemon has sent READY=1; ended at exit. $T/NAME.pid, $T/NAME.log
#   stop_daemon NAME [SIGNAL]    alive NAME       daemon_pid NAME
#   start_libvirtd               a private one in $T/v: sets URI, defines v (virsh on it); ended at exit
#   lab_guest                    builds the guest if needed, sets GUEST
#   start_guest NAME [MIB]       defines and starts a guest on a copy of the data disk, waits for its agent
#   free_port                    a TCP port nobody uses now
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
ROOT=$(readlink -f "${ROOT:-$(dirname "${BASH_SOURCE[0]}")/../..}")
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
LABDIR=$ROOT/tests/lab
LAB=${LAB:-$ROOT/build/lab}
export ROOT BUILD LAB
_points=0 _failed=0 _at_exit=() _finished=

T=$(mktemp -d "${TMPDIR:-/tmp}/berth-test.XXXXXX") || exit 1
chmod 755 "$T"

at_exit() { _at_exit=("$*" "${_at_exit[@]+"${_at_exit[@]}"}"); }
_leave() {
	local status=$? c
	trap - EXIT
	for c in "${_at_exit[@]+"${_at_exit[@]}"}"; do eval "$c" >&2; done
	if [ -n "${KEEP:-}" ]; then diag "kept: $T"; else rm -rf "$T"; fi
	[ -n "$_finished" ] || { diag "ended before done_testing, status $status"; [ "$status" != 0 ] || status=1; }
	exit "$status"
}
trap _leave EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
bail() { echo "Bail out! $*"; exit 255; }
ok() {
	_points=$((_points + 1))
	if [ "$1" = 0 ]; then echo "ok $_points - $2"; return 0; fi
	_failed=$((_failed + 1))
	echo "not ok $_points - $2"
	return 1
}
check() {
	local name=$1 out status=0
	shift
	out=$("$@" 2>&1) || status=$?
	ok "$status" "$name" || { diag "status $status: $*"; diag "$out"; return 1; }
}
refuse() {
	local name=$1 out status=0
	shift
	out=$("$@" 2>&1) || status=$?
	ok "$((status == 0))" "$name" || { diag "succeeded: $*"; diag "$out"; return 1; }
}
is() { ok "$([ "$1" = "$2" ]; echo $?)" "$3" || { diag "got:      '$1'"; diag "expected: '$2'"; return 1; }; }
# shellcheck disable=SC2053
like() { ok "$([[ "$1" == $2 ]]; echo $?)" "$3" || { diag "got:     '$1'"; diag "pattern: '$2'"; return 1; }; }
matches() { ok "$([[ "$1" =~ $2 ]]; echo $?)" "$3" || { diag "got:   '$1'"; diag "regex: '$2'"; return 1; }; }
skip() { _points=$((_points + 1)); echo "ok $_points - $1 # SKIP $2"; }
skip_all() { echo "1..0 # SKIP $*"; _finished=1; exit 0; }
done_testing() { echo "1..$_points"; _finished=1; [ "$_failed" = 0 ]; exit $?; }
requires() {
	local r
	for r in "$@"; do
		case $r in
		root) [ "$(id -u)" = 0 ] || skip_all "needs root" ;;
		/*) [ -e "$r" ] || skip_all "needs $r" ;;
		*) command -v "$r" >/dev/null || skip_all "needs $r" ;;
		esac
	done
}
wait_for() {
	local end=$((${EPOCHREALTIME/./} + ($1 > 90 ? $1 : 90) * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || { diag "gave up waiting for: $*"; return 1; }
		sleep 0.05
	done
}

start_daemon() {
	local name=$1
	shift
	at_exit "stop_daemon '$name'"
	NOTIFY_DIR=$T "$LABDIR/daemon.py" start --pidfile "$T/$name.pid" --log "$T/$name.log" -- "$@"
}
stop_daemon() { "$LABDIR/daemon.py" stop "$T/$1.pid" --signal "${2:-TERM}"; }
alive() { "$LABDIR/daemon.py" alive "$T/$1.pid"; }
daemon_pid() { cat "$T/$1.pid"; }

start_libvirtd() {
	requires root libvirtd virsh qemu-system-x86_64
	at_exit "'$LABDIR/libvirtd.sh' stop '$T/v'"
	URI=$("$LABDIR/libvirtd.sh" start "$T/v") || return 1
	export URI
}
v() { virsh -q -c "$URI" "$@"; }
lab_guest() {
	GUEST=$("$LABDIR/mkguest.sh") || return 1
	export GUEST
}
start_guest() {
	local name=$1
	[ -n "${GUEST:-}" ] || lab_guest || return 1
	cp "$GUEST/data.qcow2" "$T/$name.qcow2"
	"$LABDIR/domxml.sh" "$name" "$T/$name.qcow2" "${2:-128}" > "$T/$name.xml" &&
		v define "$T/$name.xml" >/dev/null &&
		"$LABDIR/domain-wait.py" "$URI" "$name" agent --start --timeout 60
}
free_port() { "$LABDIR/ports.py"; }
