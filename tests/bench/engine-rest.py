#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The engine at rest: memory, idle connections; then with 10,000 VMs in its store: start, memory of each. One JSON object a line.

The VMs are made through the REST API, as a client would (add, nothing given but name, cluster, template, description), so that what is
measured is what such a store holds: VMs with all that their template says, their permissions and whatever else the engine adds.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "engine"))
from benchlib import Report, cpu_seconds, idle_connections, pss_kib, switches, wakeups  # noqa: E402
from enginelib import Engine, Answer  # noqa: E402

VMS = int(os.environ.get("VMS", "10000"))
QUIET = 20
CONNECTIONS = 500
FILLERS = 8

report = Report()


def quiet(pid, limit=30):
    """Until threads that only linger have gone, and what was started is done: nothing woke for a second. Bounded: it is a bench."""
    end = time.monotonic() + limit
    before = switches(pid), cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(1)
        now = switches(pid), cpu_seconds(pid)
        if now[1] == before[1] and now[0].keys() == before[0].keys() and wakeups(before[0], now[0]) <= 2:
            return
        before = now


def rest(engine):
    """Nobody is connected, no host. Its timers: sessions, actions and tokens that end; each looks at most once a second together."""
    pid = engine.process.pid
    engine.get("/ovirt-engine/api")
    engine.drop()
    quiet(pid)
    before, cpu, begun = switches(pid), cpu_seconds(pid), time.monotonic()
    time.sleep(QUIET)
    seconds = time.monotonic() - begun
    report.add("engine_rest_wakeups", wakeups(before, switches(pid)) / seconds, "1/s", 2.0)
    report.add("engine_rest_cpu", 100 * (cpu_seconds(pid) - cpu) / seconds, "%", None)
    report.add("engine_rest_pss", pss_kib(pid) / 1024, "MiB", 24)


def connections(engine):
    """Open: TCP and TLS 1.3, and a first request is answered (with credentials, kept alive). Then they are idle."""
    hello = engine.head("HEAD", "/ovirt-engine/api", "Connection: keep-alive").encode()
    idle_connections(report, "engine", engine.process.pid, engine.port, engine.context, CONNECTIONS, hello, b"HTTP/1.1 200", b"\r\n\r\n")


def fill(engine):
    problems = []
    numbers = iter(range(VMS))
    lock = threading.Lock()
    body = ("<vm><name>vm-%05d.example.com</name><description>made by the bench</description><cluster><name>Default</name></cluster>"
            "<template><name>Blank</name></template></vm>")

    def work():
        connection = engine.new_connection()
        while True:
            with lock:
                i = next(numbers, None)
            if i is None or problems:
                connection.close()
                return
            connection.request("POST", "/ovirt-engine/api/vms", body % i,
                               {"Authorization": engine.basic(), "Content-Type": "application/xml", "Accept": "application/xml"})
            response = connection.getresponse()
            answer = Answer(response.status, response.reason, response.headers, response.read())
            if answer.status not in (201, 202):
                problems.append(answer)

    workers = [threading.Thread(target=work) for _ in range(FILLERS)]
    begun = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if problems:
        sys.exit("engine-rest: %r" % problems[0])
    return time.monotonic() - begun


def restart(engine):
    """From exec to READY: the store is loaded and the port is open."""
    engine.kill(15)
    begun = time.monotonic()
    engine.start()
    return time.monotonic() - begun


def full(engine):
    restart(engine)
    quiet(engine.process.pid)
    empty = pss_kib(engine.process.pid)
    report.add("engine_pss_empty_store", empty / 1024, "MiB", None)
    report.add("engine_add_vm_rate", VMS / fill(engine), "1/s", None)
    pid = engine.process.pid
    report.add("engine_memory_per_vm_after_adding", (pss_kib(pid) - empty) / VMS, "KiB", None)
    report.add("engine_start_%d_vms" % VMS, min(restart(engine) for _ in range(3)), "s", 1.0)
    pid = engine.process.pid
    quiet(pid)
    report.add("engine_start_cpu", cpu_seconds(pid), "s", None)
    report.add("engine_memory_per_vm", (pss_kib(pid) - empty) / VMS, "KiB", 4)
    if ">%d<" % VMS not in engine.get("/ovirt-engine/api").text:
        sys.exit("engine-rest: not all VMs are there after the restart")


def main():
    engine = Engine(start=False)
    with open(engine.config) as f:
        text = f.read()
    with open(engine.config, "w") as f:
        f.write(text.replace("log_level=debug", "log_level=info"))
    try:
        engine.start()
        what = sys.argv[1:] or ["rest", "connections", "full"]
        for name in what:
            {"rest": rest, "connections": connections, "full": full}[name](engine)
    finally:
        engine.stop()
    return report.status()


sys.exit(main())
