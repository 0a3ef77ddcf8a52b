#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# up.sh - start an agent and an engine, and run one virtual machine through the REST API. Called by `sudo ./run demo`,
# which has installed and built everything. An earlier demo is taken down first. See lib.sh for where things are kept.
set -u
. "$(dirname "$(readlink -f "$0")")/lib.sh"
[ "$(id -u)" = 0 ] || die "needs root: sudo ./run demo"
for p in berth berth-agent berth-engine; do [ -x "$build/$p" ] || die "$build/$p is missing: run make"; done

umask 022
mkdir -p "$DEMO"
echo '*' > "$DEMO/.gitignore"
exec 9> "$DEMO/.lock"
flock -n 9 || die "another 'run demo' is at work"
if [ -d "$DEMO/started" ]; then
	step "taking the earlier demo down"
	"$root/demo/down.sh" --quiet || die "the earlier demo could not be taken down"
fi
rm -rf "$DEMO"/{env,curlrc,pki,agent,engine,storage,hooks,run,log,started,agent.conf,engine.conf,password}
mkdir -p "$DEMO"/{pki,agent,engine,hooks,run,log,started}
chmod 700 "$DEMO"/{pki,engine}

# ---- libvirtd ----------------------------------------------------------------------------------------------------
libvirt_answers() { timeout 20 virsh -c qemu:///system uri >/dev/null 2>&1; }
if libvirt_answers; then
	step "libvirtd is running"
elif [ -d /run/systemd/system ]; then
	step "starting libvirtd (systemd)"
	systemctl start libvirtd.service || die "systemctl start libvirtd.service failed"
	made libvirtd-unit
else
	step "starting libvirtd (there is no service manager)"
	mkdir -p /run/libvirt
	if [ ! -S /run/libvirt/virtlogd-sock ] || ! pgrep -x virtlogd >/dev/null; then
		made virtlogd
		"$lab/daemon.py" start --pidfile "$DEMO/run/virtlogd.pid" --log "$DEMO/log/virtlogd.log" -- \
			virtlogd --pid-file "$DEMO/run/virtlogd.own-pid" || die "virtlogd does not start"
	fi
	made libvirtd
	"$lab/daemon.py" start --pidfile "$DEMO/run/libvirtd.pid" --log "$DEMO/log/libvirtd.log" --timeout 60 -- \
		libvirtd --pid-file "$DEMO/run/libvirtd.own-pid" || die "libvirtd does not start"
fi
libvirt_answers || die "libvirtd does not answer on qemu:///system"

# ---- the guest ---------------------------------------------------------------------------------------------------
qemu_reaches() { ! id -u libvirt-qemu >/dev/null 2>&1 || setpriv --reuid libvirt-qemu --regid kvm --clear-groups test -x "$1"; }
data=$DEMO
if ! qemu_reaches "$DEMO"; then
	data=$far
	made data "$far"
	mkdir -p "$far"
	note "QEMU's user cannot enter $DEMO: disks and guest are in $far"
fi
step "lab guest (kernel, busybox, guest agent)"
"$lab/mkguest.sh" "$data/guest" > "$DEMO/log/mkguest.log" 2>&1 || die "mkguest.sh: $(tail -3 "$DEMO/log/mkguest.log")"
rm -rf "$data/storage"
mkdir -p "$data/storage"

# ---- addresses ---------------------------------------------------------------------------------------------------
address=${DEMO_ADDRESS:-127.0.0.1}
free_port() { local p=$1; while [ -n "$(ss -Htln "sport = :$p")" ]; do p=$((p + 1)); done; echo "$p"; }
AGENT_PORT=$(free_port 54321)
engine_port=$(free_port 8443)
ENGINE_URL=https://$address:$engine_port/ovirt-engine/api
for n in {91..127} ''; do
	[ -n "$n" ] || die "no free network from 10.91.0.0/24 to 10.127.0.0/24 for the demo's bridge"
	{ ip -4 -o addr show; ip -4 route show; } | grep -qE "(^| )10\.$n\." || break
done
bridge=demonet
for i in '' 1 2 3 4 5 6 7 8 9; do [ -e "/sys/class/net/demonet$i" ] || { bridge=demonet$i; break; }; done
bridge_ip=10.$n.0.1 guest_ip=10.$n.0.10

# ---- certificates, configuration, daemons ------------------------------------------------------------------------
step "CA and certificates"
pki() { "$build/berth" pki "$@" >> "$DEMO/log/pki.log" 2>&1 || die "berth pki $1: $(tail -1 "$DEMO/log/pki.log")"; }
here=$(hostname)
names=(--address "$address" --address 127.0.0.1 --address localhost --address "$here")
pki init --dir "$DEMO/pki"
pki issue --dir "$DEMO/pki" --name "$here" "${names[@]}" --both --cert "$DEMO/pki/agent.pem" --key "$DEMO/pki/agent.key"
pki issue --dir "$DEMO/pki" --name engine "${names[@]}" --both --cert "$DEMO/pki/engine.pem" --key "$DEMO/pki/engine.key"
pki issue --dir "$DEMO/pki" --name demo-client --client --cert "$DEMO/pki/client.pem" --key "$DEMO/pki/client.key"

ENGINE_USER=admin@internal
ENGINE_PASSWORD=$(openssl rand -hex 12)
(umask 077
	printf '%s\n' "$ENGINE_PASSWORD" > "$DEMO/password"
	printf 'user = "%s:%s"\ncacert = "%s"\n' "$ENGINE_USER" "$ENGINE_PASSWORD" "$DEMO/pki/ca.pem" > "$DEMO/curlrc")
cat > "$DEMO/agent.conf" <<E
# the demo's agent; see berth-agent.conf(5)
[rpc]
address=$address
port=$AGENT_PORT

[tls]
cert=$DEMO/pki/agent.pem
key=$DEMO/pki/agent.key
ca=$DEMO/pki/ca.pem

[libvirt]
uri=qemu:///system

[agent]
state_dir=$DEMO/agent
run_dir=$DEMO/run
hooks_dir=$DEMO/hooks

[vm]
stats_period=5
E
cat > "$DEMO/engine.conf" <<E
# the demo's engine; see berth-engine.conf(5)
[engine]
data_dir=$DEMO/engine

[http]
address=$address
port=$engine_port
cert=$DEMO/pki/engine.pem
key=$DEMO/pki/engine.key
ca=$DEMO/pki/ca.pem

[auth]
admin_password_file=$DEMO/password

[agent]
cert=$DEMO/pki/engine.pem
key=$DEMO/pki/engine.key
ca=$DEMO/pki/ca.pem
E
for d in agent engine; do
	step "starting berth-$d"
	made "$d"
	"$lab/daemon.py" start --pidfile "$DEMO/run/$d.pid" --log "$DEMO/log/$d.log" --timeout 30 -- \
		"$build/berth-$d" --config "$DEMO/$d.conf" || die "berth-$d does not start"
done

HOST_NAME=demo-host VM_NAME=demo-vm VM_ID=
write_env() {
	(umask 077
		{
			echo "# the running demo, for a shell: . $DEMO/env"
			for v in ENGINE_URL ENGINE_USER ENGINE_PASSWORD ENGINE_CA HOST_NAME VM_NAME VM_ID AGENT_HOST AGENT_PORT AGENT_CA AGENT_CERT AGENT_KEY; do
				printf '%s=%q\n' "$v" "${!v}"
			done
		} > "$DEMO/env.new"
		mv "$DEMO/env.new" "$DEMO/env")
}
# shellcheck disable=SC2034
ENGINE_CA=$DEMO/pki/ca.pem AGENT_HOST=$address AGENT_CA=$DEMO/pki/ca.pem AGENT_CERT=$DEMO/pki/client.pem AGENT_KEY=$DEMO/pki/client.key
write_env

# ---- from here on: the REST API only -----------------------------------------------------------------------------
api GET ""
step "engine $(xp '//product_info/name' <<< "$answer") $(xp 'concat(//product_info/version/@major, ".", //product_info/version/@minor)' <<< "$answer") answers at $ENGINE_URL"
new_id() { xp '/*/@id' <<< "$answer"; }

step "data center, cluster, host"
api POST /datacenters "<data_center><name>demo</name><local>true</local></data_center>"
dc=$(new_id)
api POST /clusters "<cluster><name>demo</name><cpu id=\"${DEMO_CPU:-Intel Penryn Family}\"/><data_center id=\"$dc\"/></cluster>"
cluster=$(new_id)
api POST /hosts "<host><name>$HOST_NAME</name><address>$address</address><port>$AGENT_PORT</port><cluster id=\"$cluster\"/></host>"
host=$(new_id)
until_true 60 "host $HOST_NAME up" state_is "/hosts/$host" '/host/status/state | /host/status[not(state)]' up 'install_failed|non_operational'
note "host $HOST_NAME is up: $(xp 'concat(/host/cpu/name, ", ", /host/memory, " bytes of memory")' <<< "$answer")"

step "local storage domain: create, attach, activate"
api POST /storagedomains "<storage_domain><name>demo-data</name><type>data</type><storage><type>localfs</type><path>$data/storage</path></storage><host id=\"$host\"/></storage_domain>"
sd=$(new_id)
api POST "/datacenters/$dc/storagedomains" "<storage_domain id=\"$sd\"/>"
api POST "/datacenters/$dc/storagedomains/$sd/activate" "<action/>"
until_true 30 "storage domain active" state_is "/datacenters/$dc/storagedomains/$sd" '/storage_domain/status/state | /storage_domain/status[not(state)]' active

step "network $bridge: a bridge with address $bridge_ip/24 on the host"
made bridge "$bridge"
api POST /networks "<network><name>$bridge</name><data_center id=\"$dc\"/><usages><usage>vm</usage></usages></network>"
network=$(new_id)
api POST "/clusters/$cluster/networks" "<network id=\"$network\"><required>false</required></network>"
api POST "/hosts/$host/setupnetworks" "<action><modified_network_attachments><network_attachment><network id=\"$network\"/><ip_address_assignments><ip_address_assignment><ip address=\"$bridge_ip\" netmask=\"255.255.255.0\"/><assignment_method>static</assignment_method></ip_address_assignment></ip_address_assignments></network_attachment></modified_network_attachments></action>"
note "$(ip -4 -o addr show dev "$bridge" 2>/dev/null | awk '{print $2, $4}')"

step "VM $VM_NAME with a disk of 1 GiB and a NIC on $bridge"
api POST /vms "<vm><name>$VM_NAME</name><description>the demo's machine</description><cluster id=\"$cluster\"/><template><name>Blank</name></template><memory>268435456</memory><os><boot dev=\"hd\"/><kernel>$data/guest/vmlinuz</kernel><initrd>$data/guest/initrd.img</initrd><cmdline>console=ttyS0 quiet panic=-1 swiotlb=noforce lab.mkfs lab.ip=$guest_ip/24</cmdline></os><display><type>vnc</type></display></vm>"
VM_ID=$(new_id)
write_env
made vm "$VM_ID"
api POST "/vms/$VM_ID/nics" "<nic><name>nic1</name><interface>virtio</interface><network id=\"$network\"/></nic>"
api POST "/vms/$VM_ID/disks" "<disk><alias>demo-disk</alias><storage_domains><storage_domain id=\"$sd\"/></storage_domains><provisioned_size>1073741824</provisioned_size><type>system</type><interface>virtio</interface><format>cow</format><sparse>true</sparse><bootable>true</bootable></disk>"
disk=$(new_id)
until_true 30 "disk" state_is "/vms/$VM_ID/disks/$disk" '/disk/status/state | /disk/status[not(state)]' ok 'illegal|invalid'
until_true 30 "VM ready to start" state_is "/vms/$VM_ID" '/vm/status/state | /vm/status[not(state)]' down

step "starting $VM_NAME"
api POST "/vms/$VM_ID/start" "<action/>"
until_true 60 "VM up" state_is "/vms/$VM_ID" '/vm/status/state | /vm/status[not(state)]' up 'paused|not_responding|image_illegal'
step "it is up; waiting for the guest agent inside"
guest_reports() {
	api GET "/vms/$VM_ID"
	state="address '$(xp '//guest_info//ip/@address' <<< "$answer")'"
	[ "$(xp "//guest_info//ip[@address='$guest_ip']/@address" <<< "$answer")" = "$guest_ip" ] || return 1
	guest_os=$(xp "//guest_operating_system/distribution | //guest_info/os/name | //guest_info/os[not(*)]" <<< "$answer")
	state="address $guest_ip, no OS"
	[ -n "$guest_os" ]
}
until_true 90 "guest agent reports" guest_reports
guest_version=$(xp 'concat(//guest_operating_system/version/full_version, //guest_info/os/version)' <<< "$answer")
step "the guest says: $guest_os${guest_version:+ $guest_version} at $guest_ip"

api POST "/vms/$VM_ID/freezefilesystems" "<action/>"
step "file systems frozen"
api POST "/vms/$VM_ID/thawfilesystems" "<action/>"
step "and thawed"

# the agent samples every few seconds; memory and CPU in use need two samples
measured() {
	api GET "/vms/$VM_ID/statistics"
	state="memory in use $(xp "//statistic[name='memory.used']//datum" <<< "$answer")"
	[ "$(xp "//statistic[name='memory.used']//datum > 0 and //statistic[name='cpu.current.total']//datum > 0" <<< "$answer")" = true ]
}
until_true 60 "statistics" measured
step "statistics"
count=$(xp 'count(//statistic)' <<< "$answer")
for ((i = 1; i <= count; i++)); do
	note "$(printf '%-26s %s %s' "$(xp "//statistic[$i]/name" <<< "$answer")" "$(xp "//statistic[$i]//datum" <<< "$answer")" \
		"$(xp "//statistic[$i]/unit" <<< "$answer" | tr '[:upper:]_' '[:lower:] ')")"
done
api GET "/vms/$VM_ID"
display=$(xp 'concat(/vm/display/address, ":", /vm/display/port)' <<< "$answer")

short() { case $1 in "$root"/*) echo "${1#"$root"/}" ;; *) echo "$1" ;; esac; }
cat <<E

The demo is running (ready after $(seconds) s).

  engine    $ENGINE_URL   user $ENGINE_USER, password in $(short "$DEMO/password")
  agent     $address:$AGENT_PORT   mutual TLS, CA in $(short "$DEMO/pki/ca.pem")
  VM        $VM_NAME   $VM_ID
            $guest_os at $guest_ip, bridge $bridge, VNC at $display
  logs      $(short "$DEMO/log")/

Try next (in $root, as root):

  . $(short "$DEMO/env")
  curl --cacert \$ENGINE_CA -u \$ENGINE_USER:\$ENGINE_PASSWORD \$ENGINE_URL/vms/\$VM_ID
  curl --cacert \$ENGINE_CA -u \$ENGINE_USER:\$ENGINE_PASSWORD "\$ENGINE_URL/events;max=5"
  echo "\$ENGINE_PASSWORD" | $(short "$build")/berth login --url \$ENGINE_URL --ca \$ENGINE_CA --user \$ENGINE_USER
  $(short "$build")/berth vms
  $(short "$build")/berth host --host \$AGENT_HOST --port \$AGENT_PORT --ca \$AGENT_CA --cert \$AGENT_CERT --key \$AGENT_KEY VM getStats vmID=\$VM_ID
  busybox ping -c 3 $guest_ip

  sudo ./run down      ends all of it
E
