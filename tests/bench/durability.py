#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What kill -9 costs: 64 clients add, change and remove VMs, the engine is killed in the middle, 100 times over (ROUNDS, CLIENTS). One JSON object a line.

Each client has a few VMs of its own and one request under way. After each kill the engine is started again, and what it shows is compared with what every
client was told: a VM whose addition was acknowledged is there, with the description that was acknowledged last; one whose removal was is not. The request
that was not answered may have happened or not, whole; a removal that was begun may also be completed after the start. faults.test has a short one.
"""
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "engine"))
from benchlib import Report  # noqa: E402
from enginelib import Engine  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "100"))
CLIENTS = int(os.environ.get("CLIENTS", "64"))
VMS_EACH = 4
ACKNOWLEDGED_EACH = 2           # answers for each client, on average, before the kill may come
SHOW = 5                        # of what is wrong, on standard error

ABSENT = None


class Client:
    """known: name -> description that was acknowledged last; ids: name -> id. pending: (name, description that it will have) of the request under way."""

    def __init__(self, number):
        self.number, self.turn, self.answers = number, 0, 0
        self.known, self.ids, self.pending, self.problem = {}, {}, None, None
        self.fading = set()             # names whose removal was under way: from then on they may be there or not
        self.random = random.Random(number)

    def next(self):
        """(method, path, body, status) of the next request; pending says what it does."""
        self.turn += 1
        text = "turn %d of client %d" % (self.turn, self.number)
        names = sorted(self.known)
        if len(names) < VMS_EACH:
            name = "vm-%d-%d" % (self.number, self.turn)
            self.pending = (name, text)
            return ("POST", "/api/vms", "<vm><name>%s</name><description>%s</description><cluster><name>Default</name></cluster><template><name>Blank</name>"
                    "</template></vm>" % (name, text), 201)
        name = self.random.choice(names)
        if self.random.random() < 0.3:
            self.pending = (name, ABSENT)
            return "DELETE", "/api/vms/" + self.ids[name], None, 204
        self.pending = (name, text)
        return "PUT", "/api/vms/" + self.ids[name], "<vm><description>%s</description></vm>" % text, 200

    def settle(self, name, text, id=None):
        """So it is."""
        if text is ABSENT:
            self.known.pop(name, None)
            self.ids.pop(name, None)
        else:
            self.known[name] = text
            self.ids[name] = id or self.ids[name]

    def run(self, connection, engine, over):
        """Until the engine dies under it."""
        headers = {"Authorization": engine.basic(), "Accept": "application/json", "Content-Type": "application/xml", "Expect": "201-created"}
        while not over.is_set():
            method, path, body, expected = self.next()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                text = response.read()
            except Exception:               # whatever http.client makes of half an answer
                return
            if response.status != expected:
                self.problem = "%s %s: %d %s" % (method, path, response.status, text[:300])
                return
            self.settle(*self.pending, json.loads(text)["id"] if method == "POST" else None)
            self.pending = None
            self.answers += 1

    def compare(self, truth):
        """truth: name -> (id, description). What is wrong; then it is taken as it is."""
        mine = "vm-%d-" % self.number
        maybe, wrong = dict([self.pending] if self.pending else []), []
        self.fading |= {name for name, text in maybe.items() if text is ABSENT}
        for name in (set(self.known) | {n for n in truth if n.startswith(mine)}) - self.fading:
            id, text = truth.get(name, (None, ABSENT))
            allowed = [self.known.get(name, ABSENT)] + ([maybe[name]] if name in maybe else [])
            if text not in allowed:
                wrong.append("%s: %r, acknowledged or under way: %r" % (name, text, allowed))
            self.settle(name, text, id)
        for name in self.fading:
            self.settle(name, ABSENT)
        self.pending = None
        return wrong


def one_round(engine, clients):
    """Number of requests that the kill left without an answer."""
    connections = [engine.new_connection(60) for _ in clients]
    for connection in connections:
        connection.connect()
    over, before = threading.Event(), sum(c.answers for c in clients)
    threads = [threading.Thread(target=client.run, args=(connection, engine, over)) for client, connection in zip(clients, connections)]
    for thread in threads:
        thread.start()
    while sum(c.answers for c in clients) - before < ACKNOWLEDGED_EACH * len(clients) and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.1))      # anywhere in what a commit does
    engine.process.kill()
    engine.process.wait()
    over.set()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    engine.kill()
    return sum(c.pending is not None for c in clients)


def main():
    report = Report()
    engine = Engine(start=False)
    with open(engine.config) as f:
        text = f.read()
    with open(engine.config, "w") as f:
        f.write(text.replace("log_level=debug", "log_level=info"))
    clients = [Client(i) for i in range(CLIENTS)]
    unanswered, slowest, wrong = 0, 0.0, []
    try:
        engine.start()
        for _ in range(ROUNDS):
            unanswered += one_round(engine, clients)
            begun = time.monotonic()
            engine.start()
            slowest = max(slowest, time.monotonic() - begun)
            answer = engine.get("/api/vms", accept="application/json")
            truth = {vm["name"]: (vm["id"], vm.get("description")) for vm in answer.json().get("vm", [])}
            for client in clients:
                wrong += client.compare(truth)
            refused = [c.problem for c in clients if c.problem]
            if refused:
                sys.exit("durability: %s" % refused[0])
    finally:
        engine.stop()
    for line in wrong[:SHOW]:
        print(line, file=sys.stderr)
    report.add("durability_lost", len(wrong), "changes", 0)
    report.add("durability_acknowledged", sum(c.answers for c in clients), "changes", None)
    report.add("durability_unanswered", unanswered, "changes", None)
    report.add("durability_restart_after_kill", slowest, "s", 5)
    return report.status()


sys.exit(main())
