# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the agent at its own fault points, and what it leaves of one VM.

    run = Deaths(lab)                     an agent runs; run.c: the client of the one that runs now
    for point in run.points_of(act):      the points that act() passes
        run.die_at(point, act)            act() with an agent that dies there; then a new one. true: it was answered
"""
from snaplib import *


class Deaths:
    def __init__(self, lab, vm):
        self.lab, self.vm = lab, vm
        self.c = lab.client()
        self.c.call_when_ready("Host.ping2")
        self.storage = Storage(lab, self.c)

    def restart(self, **environment):
        """A new agent, with fault points as told."""
        self.c.close()
        if self.lab.agent.poll() is None:
            self.lab.kill_agent()
        for name in "BERTH_FAULT", "BERTH_FAULT_TRACE":
            os.environ.pop(name, None)
        os.environ.update(environment)
        self.lab.start_agent()
        self.c = self.storage.c = self.lab.client()
        return self.c.call_when_ready("Host.getVMList")

    def points_of(self, act):
        """The fault points that it passes, in order."""
        path = self.lab.path("points")
        self.restart(BERTH_FAULT_TRACE=path)
        act()
        self.restart()
        with open(path) as f:
            points = list(dict.fromkeys(f.read().splitlines()))
        os.unlink(path)
        diag("; ".join(points))
        return points

    def die_at(self, point, act):
        """Runs it until the agent is dead. true: it was answered."""
        self.restart(BERTH_FAULT=point)
        answered = True
        try:
            act()
        except (Failed, OSError):
            answered = False
        try:
            self.lab.agent.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return bail("the agent does not come to '%s'" % point)
        self.restart()
        return answered

    def entry(self):
        """The VM's status, or None."""
        for v in self.c.call("Host.getVMList"):
            if v["vmId"] == self.vm:
                return v["status"]
        return None

    def wait_entry(self, *wanted, timeout=60):
        """For what has no event that we could not have missed while there was no agent."""
        wait_until(lambda: self.entry() in wanted, timeout)
        return self.entry()

    def wait_down(self):
        is_(self.wait_entry("Down", None), "Down", "it is down")
        return self.c.stats(self.vm)["exitReason"]

    def wait_jobs(self):
        """Until all jobs about the VM are over."""
        for i, j in self.c.call("Host.getJobs").items():
            if j["description"].endswith(self.vm):
                wait_job(self.c, i)

    def left(self):
        """What an agent leaves of its VMs, on disk and running."""
        files = [os.path.join(d, f) for top in ("run", "state") for d, _, names in os.walk(self.lab.path(top)) for f in names if not d.endswith("/jobs")]
        return (sorted(self.lab.qemus()), self.lab.virsh("list", "--all", "--name"), sorted(f for f in files if self.vm in f),
                [v["status"] for v in self.c.call("Host.getVMList")])


NOTHING = ([], "", [], [])
