#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Start a daemon and return when it is ready; end it and return when it is gone.

  daemon.py start --pidfile F [--log F] [--timeout S] [--chdir D] [--no-notify] -- COMMAND ARG...
  daemon.py stop F [--timeout S] [--signal NAME]
  daemon.py alive F

Ready means: the command sent READY=1 to NOTIFY_SOCKET (sd_notify(3)). Both waits are for events (a datagram,
a pidfd), never for a while; the time limits only end a wait that went wrong.

The pid file holds the pid; F.start beside it holds the start time of that process, so that stop never hits
a stranger that was given the same number later.
"""
import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time


def die(message):
    print("daemon.py: " + message, file=sys.stderr)
    sys.exit(1)


def process_stat(pid):
    """(state, start time) of a process, or None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            rest = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return rest[0], rest[19]


def recorded(pidfile):
    """The pid in the file if that very process still runs, else None."""
    try:
        with open(pidfile) as f:
            pid = int(f.read().split()[0])
        with open(pidfile + ".start") as f:
            start = f.read().strip()
    except (OSError, ValueError, IndexError):
        return None
    now = process_stat(pid)
    return pid if now and now[0] not in "ZX" and now[1] == start else None


def tail(path, lines=20):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""


def start(args):
    if recorded(args.pidfile):
        die("%s: already running, pid %d" % (args.pidfile, recorded(args.pidfile)))
    log = args.log or "/dev/null"
    tmp = tempfile.mkdtemp(prefix="ready-", dir=os.environ.get("NOTIFY_DIR"))
    os.chmod(tmp, 0o755)
    path = os.path.join(tmp, "notify")
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    child = None
    try:
        ready.bind(path)
        os.chmod(path, 0o777)
        env = dict(os.environ, NOTIFY_SOCKET=path)
        if args.no_notify:
            del env["NOTIFY_SOCKET"]
        with open(log, "ab") as out:
            child = subprocess.Popen(args.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     env=env, cwd=args.chdir, start_new_session=True)
        with open(args.pidfile + ".start", "w") as f:
            f.write(process_stat(child.pid)[1] + "\n")
        with open(args.pidfile, "w") as f:
            f.write("%d\n" % child.pid)
        if args.no_notify:
            return 0
        deadline = time.monotonic() + args.timeout
        pidfd = os.pidfd_open(child.pid)
        while True:
            left = deadline - time.monotonic()
            got = select.select([ready, pidfd], [], [], max(left, 0))[0]
            if ready in got:
                if b"READY=1" in ready.recv(4096).split(b"\n"):
                    return 0
                continue
            if pidfd in got:
                problem = "ended with status %d before it was ready" % child.wait()
            elif left <= 0:
                problem = "was not ready within %g s" % args.timeout
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            else:
                continue
            for f in (args.pidfile, args.pidfile + ".start"):
                os.unlink(f)
            die("%s %s; log %s:\n%s" % (args.command[0], problem, log, tail(log)))
    except FileNotFoundError as e:
        die("%s: %s" % (e.filename, e.strerror))
    finally:
        ready.close()
        if os.path.exists(path):
            os.unlink(path)
        os.rmdir(tmp)


def stop(args):
    pid = recorded(args.pidfile)
    if pid:
        pidfd = os.pidfd_open(pid)
        if recorded(args.pidfile) == pid:  # still the same one, now that we hold it
            signal.pidfd_send_signal(pidfd, getattr(signal, "SIG" + args.signal))
            if not select.select([pidfd], [], [], args.timeout)[0]:
                print("daemon.py: pid %d (%s) did not end within %g s, killing it"
                      % (pid, args.pidfile, args.timeout), file=sys.stderr)
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                select.select([pidfd], [], [], 10)
    for f in (args.pidfile, args.pidfile + ".start"):
        if os.path.exists(f):
            os.unlink(f)
    return 0


def main():
    parser = argparse.ArgumentParser(description="start and end daemons", usage=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    p = commands.add_parser("start")
    p.add_argument("--pidfile", required=True)
    p.add_argument("--log")
    p.add_argument("--timeout", type=float, default=90)
    p.add_argument("--chdir")
    p.add_argument("--no-notify", action="store_true")
    p.add_argument("command", nargs="+")
    p = commands.add_parser("stop")
    p.add_argument("pidfile")
    p.add_argument("--timeout", type=float, default=60)
    p.add_argument("--signal", default="TERM")
    p = commands.add_parser("alive")
    p.add_argument("pidfile")
    args = parser.parse_args()
    if args.what == "start":
        return start(args)
    if args.what == "stop":
        return stop(args)
    return 0 if recorded(args.pidfile) else 1


if __name__ == "__main__":
    sys.exit(main())
