#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Image transfers against bare `qemu-img convert` over NBD on the same data in the same run: upload and download over HTTPS against an NBD server with
TLS, over the Unix socket against one on a Unix socket; and what memory the agent takes for it. One JSON object a line.

    transfer.py [MIB]          default: 768 MiB of random data for each
"""
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report  # noqa: E402
from tlslib import TlsLab  # noqa: E402
from transferlib import *  # noqa: E402

ROUNDS = 5
LEAST = 0.9               # of the throughput of the bare tool
EXTRA_MIB = 32

report = Report()
size = int(sys.argv[1]) * MIB if len(sys.argv) > 1 else 768 * MIB
lab = TlsLab()
lab.config["libvirt"]["uri"] = "test:///default"       # no machines here
lab.config["transfer"] = {"port": "0"}
lab.start_agent()
end_servers_of(lab)
c = lab.client()
c.call_when_ready("Host.ping2")
a = Domain(lab, c)
volume = a.volume(format=RAW, size=size)
with open(lab.path("data"), "wb") as f:
    for _ in range(size // MIB):
        f.write(os.urandom(MIB))
    os.fsync(f.fileno())
credentials(lab, "client-pki", "client")
server, tls_server = new_id(), new_id()


def memory():
    with open("/proc/%d/status" % lab.agent.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Peak(threading.Thread):
    """The most memory the agent has while this runs."""
    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.most = threading.Event(), memory()

    def run(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, memory())


def seconds(*command):
    begun = time.monotonic()
    run(*command)
    return time.monotonic() - begun


def bare(url, upload, tls):
    """qemu-img convert from a file to the server, or from it to a file. Both ways end an upload with a flush, a download without."""
    nbd = ["--object", "tls-creds-x509,id=t,endpoint=client,dir=" + lab.path("client-pki")] if tls else []
    where = "driver=nbd,host=127.0.0.1,port=%s,tls-creds=t" % url.rsplit(":", 1)[1] if tls else \
        "driver=nbd,server.type=unix,server.path=" + url[len("nbd:unix:"):]
    if upload:
        return seconds("qemu-img", "convert", *nbd, "-n", "--target-image-opts", "-f", "raw", lab.path("data"), where)
    return seconds("qemu-img", "convert", *nbd, "--image-opts", "-O", "raw", where, lab.path("out"))


def ours(ticket, upload, tls):
    target = "https://127.0.0.1:%d" % port if tls else "http://localhost"
    way = ["--cacert", lab.path("ca", "ca.pem")] if tls else ["--unix-socket", lab.path("run/images.sock")]
    move = ["-T", lab.path("data")] if upload else ["-o", lab.path("out")]
    return seconds("curl", "-sSf", *way, *move, target + "/images/" + ticket)


def compare(upload, tls):
    """In turns, each with the volume to itself, so that what else the machine does hits both."""
    mine, yours = [], []
    for _ in range(ROUNDS):
        url = c.call("NBD.start_server", server_id=server, config=server_config(volume, tls=tls, readonly=not upload))
        yours.append(bare(url, upload, tls))
        spec = {"uuid": new_id(), "url": "", "size": size, "ops": ["write" if upload else "read"], "timeout": 300}
        if tls:
            c.call("NBD.stop_server", server_id=server)
            url = c.call("NBD.start_server", server_id=server, config=server_config(volume, readonly=not upload))
        c.call("Host.add_image_ticket", ticket=dict(spec, url=url))
        global port
        with open(lab.path("run/transfer-port")) as f:
            port = int(f.read())
        mine.append(ours(spec["uuid"], upload, tls))
        c.call("Host.remove_image_ticket", uuid=spec["uuid"])
        c.call("NBD.stop_server", server_id=server)
        assert subprocess.run(["cmp", lab.path("data"), volume.path() if upload else lab.path("out")]).returncode == 0
    report.add("transfer: %s over %s, time of bare qemu-img convert over NBD there" % ("upload" if upload else "download", "TLS" if tls else "a Unix socket"),
               statistics.median(mine) / statistics.median(yours), "x", 1 / LEAST)


before = memory()
peak = Peak()
peak.start()
for tls in False, True:
    for upload in True, False:
        compare(upload, tls)
peak.over.set()
peak.join()
report.add("transfer: memory of the agent for it", peak.most - before, "MiB", EXTRA_MIB)
sys.exit(report.status())
