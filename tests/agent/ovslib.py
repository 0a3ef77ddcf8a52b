# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch in the network namespace of the test: its own database and run directory, which OVS_RUNDIR tells everybody who is started later."""
import atexit
import os
import shutil
import signal
import subprocess
import time

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
daemons = {}


def missing():
    """What there is not of it; None: it can run."""
    for name in ("ovsdb-server", "ovs-vswitchd", "ovsdb-tool", "ovs-vsctl"):
        if not shutil.which(name):
            return name
    return next((path for path in (SCHEMA, "/dev/net/tun") if not os.path.exists(path)), None)


def start(name):
    directory = os.environ["OVS_RUNDIR"]
    socket = directory + "/db.sock"
    command = {"ovsdb-server": ["ovsdb-server", directory + "/conf.db", "--remote=punix:" + socket],
               "ovs-vswitchd": ["ovs-vswitchd", "unix:" + socket, "--disable-system"]}[name]
    with open("%s/%s.out" % (directory, name), "ab") as out:
        daemons[name] = subprocess.Popen(command + ["--no-chdir", "--unixctl=%s/%s.ctl" % (directory, name)], stdin=subprocess.DEVNULL, stdout=out,
                                         stderr=out)
    end = time.monotonic() + 60
    while name == "ovsdb-server" and subprocess.call(["ovs-vsctl", "--no-wait", "--timeout=10", "init"], stderr=subprocess.DEVNULL):
        if time.monotonic() > end:
            raise SystemExit("Bail out! ovsdb-server does not answer")
        time.sleep(0.05)


def stop(name):
    process = daemons.pop(name, None)
    if process:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def vsctl(command):
    """What ovs-vsctl says; it waits until ovs-vswitchd has done what changes."""
    done = subprocess.run("ovs-vsctl --timeout=60 " + command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit("Bail out! ovs-vsctl %s: %s" % (command, done.stdout))
    return done.stdout.strip()


def caught_up():
    """ovs-vswitchd has made what is in the database."""
    vsctl("set open . external_ids:made=1")
    vsctl("remove open . external_ids made")


def begin(directory):
    os.mkdir(directory)
    os.environ.update(OVS_RUNDIR=directory, OVS_LOGDIR=directory, OVS_DBDIR=directory)
    subprocess.run(["ovsdb-tool", "create", directory + "/conf.db", SCHEMA], check=True)
    atexit.register(stop, "ovs-vswitchd")
    atexit.register(stop, "ovsdb-server")
    start("ovsdb-server")
    start("ovs-vswitchd")
