#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's PostgreSQL with a server of its own on a private socket: for tests of the engine's store.

As a program:  tests/engine/postgres.py COMMAND...  runs the command with a server, which it finds by BERTH_TEST_POSTGRESQL (the socket's directory) and with
BERTH_TEST_STORE=postgresql, so that engines and stores of tests use it. A Server() within that is that server.
"""
import atexit
import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

VARIABLE = "BERTH_TEST_POSTGRESQL"
OWNER = "berth"                 # role of the engines: no superuser
_numbers = itertools.count(1)


def programs():
    """Directory of initdb and postgres, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    return os.path.dirname(found[-1]) if found and os.geteuid() == 0 else None


class Server:
    """Settings that may be given: lines of postgresql.conf; lines of pg_hba.conf that go before "everybody on the socket"; the port."""

    def __init__(self, settings="", hba="", port=5432):
        self.process, self.port = None, port
        self.dir = os.environ.get(VARIABLE)
        self.own = not self.dir or bool(settings or hba)
        if not self.own:
            return
        self.user = pwd.getpwnam("postgres")
        self.dir = tempfile.mkdtemp(prefix="berth-pg-")
        os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        atexit.register(self.remove)
        made = self.as_postgres("initdb", "-D", self.data, "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", "postgres", capture_output=True, text=True)
        if made.returncode != 0:
            raise SystemExit("initdb: " + made.stderr)
        # A kill -9 leaves what was written with the kernel, so nothing is lost without fsync; commits are waited for as always.
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write("listen_addresses = ''\nunix_socket_directories = '%s'\nfsync = off\nsynchronous_commit = on\nshared_buffers = 32MB\n"
                    "max_connections = 60\nautovacuum = off\nlog_line_prefix = '%%m %%p %%a '\n%s\n" % (self.dir, settings))
        path = os.path.join(self.data, "pg_hba.conf")
        with open(path) as f:
            old = f.read()
        with open(path, "w") as f:
            f.write(hba + "\n" + old)
        self.start()
        self.sql("CREATE ROLE %s LOGIN" % OWNER)
        self.sql("CREATE DATABASE stores OWNER %s" % OWNER)

    def as_postgres(self, program, *args, **options):
        return subprocess.run(self.command(program, *args), cwd="/", **options)

    def command(self, program, *args):
        return ["setpriv", "--reuid", str(self.user.pw_uid), "--regid", str(self.user.pw_gid), "--clear-groups", os.path.join(programs(), program), *args]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command("postgres", "-D", self.data), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 100
        while subprocess.run([os.path.join(programs(), "pg_isready"), "-q", "-h", self.dir, "-p", str(self.port)], check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                with open(self.log, errors="replace") as f:
                    raise SystemExit("postgres does not start: " + f.read()[-3000:])
            time.sleep(0.05)
        return self

    def everybody(self):
        """All processes of the server, also those that outlive the first: they stand in its directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink("/proc/%s/cwd" % pid) == self.data:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def send(self, number):
        """To all of them; how many there were."""
        found = self.everybody()
        for pid in found:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return len(found)

    def kill(self, how=signal.SIGKILL):
        """All at once, as a machine that loses its power, until none is left (one that lives holds the shared memory, and the next server does not start);
        or with another signal the first process, as an administrator does."""
        if how == signal.SIGKILL:
            while self.send(how):
                time.sleep(0.01)
        else:
            self.process.send_signal(how)
        self.process.wait(100)

    def remove(self):
        if self.process and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.kill(signal.SIGINT)
        shutil.rmtree(self.dir, ignore_errors=True)

    def sql(self, text, database="postgres", user="postgres"):
        """Rows as lists of texts (NULL: None)."""
        run = subprocess.run([os.path.join(programs(), "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-F", "\x1f", "-R", "\x1e", "-P", "null=\x1d",
                              "-h", self.dir, "-p", str(self.port), "-U", user, "-d", database, "-f", "-"],
                             input=text, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(run.stderr)
        out = run.stdout.rstrip("\n")
        return [[None if cell == "\x1d" else cell for cell in row.split("\x1f")] for row in out.split("\x1e")] if out else []

    def database(self):
        """A new one of the engines' role; its name."""
        name = "engine_%d_%d" % (os.getpid(), next(_numbers))
        self.sql("CREATE DATABASE %s OWNER %s" % (name, OWNER))
        return name

    def where(self, name, user=OWNER, more=""):
        """For [engine] store."""
        return "postgresql://%s@/%s?host=%s&port=%d%s" % (user, name, self.dir, self.port, more)


def main():
    if not programs():
        print("1..0 # SKIP PostgreSQL's server is not installed, or not root")
        return 0
    server = Server()
    try:
        return subprocess.run(sys.argv[1:], env=dict(os.environ, BERTH_TEST_STORE="postgresql", **{VARIABLE: server.dir}), check=False).returncode
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
