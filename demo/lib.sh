# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# lib.sh - what up.sh and down.sh share: where things are, talking to the engine, telling the user.
#
# Everything the demo makes is below .demo (DEMO in the environment: another place). In there:
#   env            for people and programs: . .demo/env
#   started/       one file for each thing outside .demo that the demo made or started; down.sh undoes just these
#   pki/ agent/ engine/ storage/ guest/ hooks/ run/ log/ *.conf
# .demo/storage and .demo/guest are read by QEMU, which runs as another user; where that user cannot get there (a
# checkout below a closed home directory) they are in /var/lib/berth-demo instead.
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/..")
DEMO=$(readlink -m "${DEMO:-$root/.demo}")
build=${BUILD:-build}
case $build in /*) ;; *) build=$root/$build ;; esac
lab=$root/tests/lab
far=/var/lib/berth-demo
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

begun=${EPOCHREALTIME/./}
seconds() { local us=$((${EPOCHREALTIME/./} - begun)); printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10)); }
step() { printf '%6s s  %s\n' "$(seconds)" "$*"; }
note() { printf '          %s\n' "$*"; }
warn() { printf 'demo: %s\n' "$*" >&2; }
die() {
	warn "$*"
	[ ! -d "$DEMO/log" ] || warn "logs: $DEMO/log; 'sudo ./run down' removes what was started"
	exit 1
}

# made NAME [VALUE] - remember that something outside .demo is ours;  was_made NAME - prints VALUE, fails if not ours
made() { mkdir -p "$DEMO/started"; printf '%s\n' "${2:-}" > "$DEMO/started/$1"; }
was_made() { cat "$DEMO/started/$1" 2>/dev/null; }
unmade() { rm -f "$DEMO/started/$1"; }

# xp XPATH <XML - the string value; empty when there is none
xp() { xmllint --nonet --xpath "string($1)" - 2>/dev/null; }

# try METHOD PATH [BODY] - one REST request; the answer in $answer, its HTTP status in $http. Fails at 400 and above.
# Credentials and CA are in .demo/curlrc, so that they do not show in the list of processes.
answer='' http=''
try() {
	local method=$1 path=$2 body=${3:-} args=()
	[ -z "$body" ] || args=(-H 'Content-Type: application/xml' --data-binary @-)
	http=$(printf '%s' "$body" | curl -sS -q --config "$DEMO/curlrc" --max-time "${REQUEST_TIME:-60}" -X "$method" \
		-H 'Accept: application/xml' "${args[@]+"${args[@]}"}" -D "$DEMO/run/headers" -o "$DEMO/run/answer" \
		-w '%{http_code}' "$ENGINE_URL$path" 2>"$DEMO/run/curl.err") || { http=000; answer=$(cat "$DEMO/run/curl.err"); }
	[ "$http" = 000 ] || answer=$(cat "$DEMO/run/answer" 2>/dev/null)
	{ echo "== $method $path -> $http"; printf '%s\n' "$body" '--' "$answer"; grep -i '^warning:' "$DEMO/run/headers"; } >> "$DEMO/log/rest.log" 2>/dev/null
	[ "$http" -ge 100 ] && [ "$http" -lt 400 ]
}
# api METHOD PATH [BODY] - the same, and the end of the demo when it fails
api() {
	try "$@" && return 0
	local reason detail
	reason=$(xp '//reason' <<< "$answer")
	detail=$(xp '//detail' <<< "$answer")
	[ "$http" = 000 ] && die "$1 $2: $answer"
	die "$1 $2: HTTP status $http: ${reason:-no reason given}${detail:+: $detail}"
}
# until_true SECONDS WHAT COMMAND... - plain REST has no events to wait for: ask again until the command succeeds.
# $state is what it saw last.
state=''
until_true() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) limit=$1 what=$2
	shift 2
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || die "$what: not within $limit s${state:+ (last seen: $state)}"
		sleep 0.2
	done
}
# state_is PATH XPATH WANTED [BAD] - true when it is; ends the demo when it is one of BAD (a|b|c)
state_is() {
	api GET "$1"
	state=$(xp "$2" <<< "$answer")
	[ "$state" = "$3" ] && return 0
	# shellcheck disable=SC2053
	[ -z "${4:-}" ] || [[ "$state" != @($4) ]] || die "$1 is $state: $(xp '/*/status/detail | /*/status_detail' <<< "$answer")"
	return 1
}
