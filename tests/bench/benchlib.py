# SPDX-License-Identifier: Apache-2.0
"""What the benches of whole daemons share: numbers of a process from /proc, many idle connections, and the lines that tests/bench/run reads."""
import glob
import json
import os
import resource
import socket
import ssl
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


class Report:
    def __init__(self):
        self.failed = False

    def add(self, name, value, unit, limit):
        """limit None: only told."""
        good = None if limit is None else value <= limit
        self.failed = self.failed or good is False
        print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "limit": limit, "ok": good}), flush=True)

    def status(self):
        return 1 if self.failed else 0


def pss_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def cpu_seconds(pid):
    """User and system time of all threads, those that ended included. The kernel scales the two by the precise run time."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def own_cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def switches(pid):
    """Voluntary switches of each of its threads: each is one wake-up."""
    n = {}
    for path in glob.glob("/proc/%d/task/*/status" % pid):
        try:
            with open(path) as f:
                n[path] = next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        except OSError:
            pass                        # it has ended
    return n


def wakeups(before, after):
    """Of threads that are there at the end; what those that ended in between did in their last moments is not known."""
    return sum(n - before.get(thread, 0) for thread, n in after.items())


def idle_connections(report, name, pid, port, context, number, hello, answer_start, answer_end, threads=4, rounds=3):
    """Opens them all as fast as it can (from a few threads: they wait for each other's round trips, not for a processor), measures, closes;
    the best time of a few rounds counts, the memory of the first. Each says hello, if there is one, and waits for an answer that begins and
    ends so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * number + 100)), hard))
    before = pss_kib(pid)
    cpu, own, best, each = cpu_seconds(pid), own_cpu(), None, None
    for _ in range(rounds):
        begun = time.monotonic()
        sockets = open_all(port, context, number, hello, answer_start, answer_end, threads)
        seconds = time.monotonic() - begun
        best = min(best or seconds, seconds)
        each = each if each is not None else (pss_kib(pid) - before) / number
        for s in sockets:
            s.close()
    report.add("%s_open_%d_connections" % (name, number), best, "s", 1.5)
    report.add("%s_open_connection_cpu" % name, 1000 * (cpu_seconds(pid) - cpu) / number / rounds, "ms", None)
    report.add("%s_open_connection_client_cpu" % name, 1000 * (own_cpu() - own) / number / rounds, "ms", None)
    report.add("%s_idle_connection" % name, each, "KiB", 40)


def open_all(port, context, number, hello, answer_start, answer_end, threads):
    sockets, problems = [], []
    lock = threading.Lock()
    left = number

    def open_one():
        s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="localhost")
        sockets.append(s)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        if hello:
            s.sendall(hello)
        while hello and not (got.startswith(answer_start) and got.endswith(answer_end)):
            more = s.recv(65536)
            if not more:
                raise ssl.SSLError("closed after %r" % got)
            got += more

    def work():
        nonlocal left
        while True:
            with lock:
                if not left or problems:
                    return
                left -= 1
            try:
                open_one()
            except (OSError, ssl.SSLError) as e:
                problems.append(e)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if problems:
        raise SystemExit("after %d connections: %s" % (len(sockets), problems[0]))
    return sockets
