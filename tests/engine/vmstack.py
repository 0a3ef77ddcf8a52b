# SPDX-License-Identifier: Apache-2.0
"""On top of stack: one host that is up, with a local storage domain, a network on a bridge, and the lab's guest to run on it.

    s = VmStack("agent.ask=1\\n...")       the agent is s.a (host "h1"), the data center s.dc, the cluster "lab", the domain s.domain
    vm = s.vm("web", "<description>x</description>")   id of a new VM that boots the guest
    s.act(vm, "start")                   Answer of POST .../start
    s.state(vm), s.wait_state(vm, "up")
    s.virsh(...), s.domains()            what libvirt says: the truth to compare with
    s.inside("web", "/proc/uptime")      a file as the guest sees it
"""
import base64
import json
import os
import subprocess
import threading
import time

from enginelib import ROOT, skip_all, state_of, wait_until
from stack import LABDIR, Stack, run

MEMORY = 134217728


class VmStack(Stack):
    def __init__(self, config="", network=True):
        if not os.path.exists("/usr/bin/qemu-system-x86_64"):
            skip_all("needs qemu-system-x86_64")
        try:
            self.guest = run(os.path.join(LABDIR, "mkguest.sh"))
        except subprocess.CalledProcessError as problem:
            skip_all("no guest: " + problem.stderr.strip())
        with open(self.guest + "/cmdline") as f:
            self.cmdline = f.read().strip()
        super().__init__("agent.ask=1\nagent.connecting_after=2\nagent.non_responsive_after=5\n" + config)
        self.a = self.agent("a")
        self.dc = self.local_data_center("lab")
        answer = self.add_host(self.a, "h1", "lab")
        self.must(answer.status == 201, "host added", answer)
        self.host_id = answer.xml().get("id")
        self.must(self.wait_host("h1", "up", 60), "host up", open(self.e.log, errors="replace").read()[-3000:])
        self.storage = self.a.directory("data")
        self.domain = self.ready_domain("data", "h1", self.storage, self.dc)
        self.network = self.add_network("labnet") if network else None

    @staticmethod
    def must(condition, what, detail=""):
        """For what a test stands on."""
        if not condition:
            print("Bail out! %s: %s" % (what, str(detail)[-3000:]))
            raise SystemExit(1)

    def add_network(self, name):
        cluster = self.e.id_of("clusters", "lab")
        network = self.e.call("POST", "/api/networks", '<network><name>%s</name><data_center id="%s"/></network>' % (name, self.dc)).xml().get("id")
        self.e.call("POST", "/api/clusters/%s/networks" % cluster, '<network id="%s"><required>false</required></network>' % network)
        answer = self.e.call("POST", "/api/hosts/%s/setupnetworks" % self.host_id,
                             "<action><modified_network_attachments><network_attachment><network id=\"%s\"/></network_attachment>"
                             "</modified_network_attachments></action>" % network)
        self.must(answer.status == 200, "network on the host", answer)
        return network

    # ---- VMs ----

    def boot(self, words=""):
        return ("<os><boot dev=\"hd\"/><kernel>%s/vmlinuz</kernel><initrd>%s/initrd.img</initrd>"
                "<cmdline>%s swiotlb=noforce lab.mkfs %s</cmdline></os>" % (self.guest, self.guest, self.cmdline, words))

    def body(self, name, extra="", words=""):
        return ("<vm><name>%s</name><cluster><name>lab</name></cluster><template><name>Blank</name></template><memory>%d</memory>"
                "<display><type>vnc</type></display>%s%s</vm>" % (name, MEMORY, self.boot(words), extra))

    def vm(self, name, extra="", words=""):
        answer = self.e.call("POST", "/api/vms", self.body(name, extra, words), expect="201-created")
        self.must(answer.status == 201, "VM %s created" % name, answer)
        return answer.xml().get("id")

    def add_disk(self, vm, alias, size=67108864, **headers):
        headers.setdefault("expect", "201-created")
        return self.e.call("POST", "/api/vms/%s/disks" % vm,
                           '<disk><alias>%s</alias><storage_domains><storage_domain id="%s"/></storage_domains><provisioned_size>%d</provisioned_size>'
                           "<interface>virtio</interface><format>cow</format><sparse>true</sparse><bootable>true</bootable></disk>"
                           % (alias, self.domain, size), **headers)

    def get_vm(self, vm, e=None):
        return (e or self.e).get("/api/vms/" + vm).xml()

    def state(self, vm):
        return state_of(self.get_vm(vm))

    def wait_state(self, vm, states, seconds=60):
        states = states.split()

        def there():
            state = self.state(vm)
            return state if state in states else None
        return wait_until(there, seconds)

    def act(self, vm, action, body="<action/>", **headers):
        return self.e.call("POST", "/api/vms/%s/%s" % (vm, action), body, **headers)

    def volumes(self, image):
        """Files of an image on the storage domain."""
        return [os.path.join(where, name) for where, _, names in os.walk(self.storage) for name in names if image in where.split(os.sep)]

    # ---- the truth ----

    def virsh(self, *command):
        done = subprocess.run(["virsh", "-q", "-c", self.uri] + list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def domains(self):
        """{name: libvirt's state}"""
        return dict((line.split(None, 2)[1], line.split(None, 2)[2]) for line in self.virsh("list", "--all").splitlines() if line.strip())

    def agent_command(self, name, command, **arguments):
        text = self.virsh("qemu-agent-command", name, json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command}))
        return json.loads(text)["return"] if text else None

    def inside(self, name, path):
        """A small file of the guest; "" while its agent does not answer."""
        handle = self.agent_command(name, "guest-file-open", path=path, mode="r")
        if handle is None:
            return ""
        got = self.agent_command(name, "guest-file-read", handle=handle, count=4096)
        self.agent_command(name, "guest-file-close", handle=handle)
        return base64.b64decode(got["buf-b64"]).decode() if got else ""

    def boot_id(self, name, but_not=None, seconds=60):
        """Drawn by the guest's kernel at each boot: the same only if its memory went on."""
        def there():
            text = self.inside(name, "/proc/sys/kernel/random/boot_id").strip()
            return text if text and text != but_not else None
        return wait_until(there, seconds)


class Watcher:
    """The different states of a VM, in the order a client sees that asks again and again."""

    def __init__(self, stack, vm):
        self.seen, self.over = [], False
        self.e, self.path = stack.e, "/api/vms/" + vm
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.first = threading.Event()
        self.thread.start()
        self.first.wait(30)

    def watch(self):
        connection = self.e.new_connection()
        last = False
        while not last:
            last = self.over              # one more look after the end: it is the state of then
            connection.request("GET", self.path, headers={"Authorization": self.e.basic(), "Accept": "application/json"})
            response = connection.getresponse()
            text = response.read()
            state = json.loads(text).get("status", {}).get("state") if response.status == 200 else str(response.status)
            if not self.seen or self.seen[-1] != state:
                self.seen.append(state)
            self.first.set()
            time.sleep(0.01)              # the guest wants the CPU, too
        connection.close()

    def end(self):
        self.over = True
        self.thread.join(30)
        return self.seen


def fault(answer):
    """reason and detail of a refused request or a failed action"""
    found = answer.xml()
    return " ".join(found.findtext(x) or "" for x in ("reason", "detail", "fault/reason", "fault/detail")).strip()


__all__ = ["VmStack", "Watcher", "fault", "MEMORY", "ROOT"]
