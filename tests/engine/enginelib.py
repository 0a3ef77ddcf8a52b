# SPDX-License-Identifier: Apache-2.0
"""
A berth-engine of its own for a test: temporary data directory, certificates, one port; and what a client needs. TAP on standard output.
With BERTH_TEST_STORE=postgresql its database is one of its own on a PostgreSQL server: that of postgres.py that the test runs under, or one of the test's.
"""
import base64
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postgres  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")
if not os.path.isabs(BUILD):
    BUILD = os.path.join(ROOT, BUILD)
PASSWORD = "s3cret: with=colon"
BLANK = "00000000-0000-0000-0000-000000000000"
PATIENCE = 4                    # times as long as is said a machine with much else to do is waited for
PAUSE = 0.3 if os.path.isdir("/lab/.hostvm") else 0.05      # s between two looks; in a host in a VM (tests/lab/hostvm.sh) looking costs more than waiting

# What events refer to, by the collection that it is in
OBJECTS = {"vms": "vm", "hosts": "host", "clusters": "cluster", "datacenters": "data_center", "storagedomains": "storage_domain", "templates": "template"}
# Actions that change nothing
QUESTIONS = ("/isattached", "/iscsidiscover", "/unregisteredstoragedomainsdiscover", "/refresh", "/testconnectivity")

_points = {"n": 0, "failed": 0}
_engines = []
_servers = []


def ok(condition, name, *details):
    _points["n"] += 1
    print(("ok" if condition else "not ok"), _points["n"], "-", name)
    if not condition:
        _points["failed"] += 1
        for detail in details:
            for line in str(detail).splitlines()[:30]:
                print("#", line)
    sys.stdout.flush()
    return bool(condition)


def same(got, expected, name):
    return ok(got == expected, name, "got      %r" % (got,), "expected %r" % (expected,))


def done():
    for engine in _engines:
        if engine.process and engine.process.poll() is None:
            engine.check_answers()
    print("1..%d" % _points["n"])
    sys.stdout.flush()
    sys.exit(1 if _points["failed"] else 0)


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(0)


def make_pki(directory, organization="Test"):
    """A CA and a server certificate for localhost."""
    def run(*args):
        subprocess.run(["openssl"] + list(args), cwd=directory, check=True, capture_output=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/O=%s/CN=Test CA" % organization)
    run("req", *curve, "-keyout", "engine.key", "-out", "engine.csr", "-subj", "/O=Test/CN=localhost")
    with open(os.path.join(directory, "ext"), "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n")
    run("x509", "-req", "-in", "engine.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "engine.pem", "-days", "30",
        "-extfile", "ext")


def quote(text):
    """For SQL."""
    return "NULL" if text is None else "'%s'" % text.replace("'", "''")


class Answer:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body
        self.text = body.decode("utf-8", "replace")

    def xml(self):
        return ET.fromstring(self.text)

    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return "%d %s %s %s" % (self.status, self.reason, dict(self.headers), self.text[:1500])


def server():
    """The PostgreSQL server of this test."""
    if not _servers:
        if not postgres.programs():
            skip_all("PostgreSQL's server is not installed, or not root")
        _servers.append(postgres.Server())
    return _servers[0]


class Engine:
    """store: "sqlite", "postgresql" or a postgres.Server() when it must be that, else what the environment says."""

    def __init__(self, config="", start=True, store=None):
        self.dir = tempfile.mkdtemp(prefix="berth-engine-")
        make_pki(self.dir)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        self.database = None            # its name; None: a file
        store = store or os.environ.get("BERTH_TEST_STORE")
        if store == "postgresql":
            store = server()
        if isinstance(store, postgres.Server):
            self.server, self.database = store, store.database()
        with open(os.path.join(self.dir, "password"), "w") as f:
            f.write(PASSWORD + "\n")
        sections = {"engine": "data_dir=%s\nlog_level=debug\n" % self.data, "http": "", "auth": "", "agent": "" if "kdump_port" in config else "kdump_port=0\n"}
        if self.database:
            sections["engine"] += "store=%s\n" % self.server.where(self.database)
        sections["http"] = "address=127.0.0.1\nport=0\ncert=%s/engine.pem\nkey=%s/engine.key\nca=%s/ca.pem\n" % (self.dir, self.dir, self.dir)
        sections["auth"] = "admin_password_file=%s/password\n" % self.dir
        for line in config.splitlines():
            section, _, rest = line.strip().partition(".")
            if rest:
                sections[section] = sections.get(section, "") + rest + "\n"
        self.config = os.path.join(self.dir, "engine.conf")
        with open(self.config, "w") as f:
            for name, text in sections.items():
                f.write("[%s]\n%s\n" % (name, text))
        self.process = None
        self.connection = None
        self.answers = {}
        self.changes = {}               # correlation id -> method and path of what was done
        self.numbers = itertools.count()
        self.schema = None
        _engines.append(self)
        self.context = ssl.create_default_context(cafile=os.path.join(self.dir, "ca.pem"))
        if start:
            self.start()

    def start(self):
        notify = os.path.join(self.dir, "notify")
        if os.path.exists(notify):
            os.unlink(notify)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(notify)
        sock.settimeout(60)
        self.logfile = open(self.log, "ab")
        where = os.path.getsize(self.log)
        self.process = subprocess.Popen([os.path.join(BUILD, "berth-engine"), "--config", self.config], stderr=self.logfile,
                                        env=dict(os.environ, NOTIFY_SOCKET=notify))
        waiter = threading.Thread(target=self.process.wait, daemon=True)
        waiter.start()
        while True:
            sock.settimeout(0.5)
            try:
                if b"READY=1" in sock.recv(4096):
                    break
            except socket.timeout:
                if self.process.poll() is not None:
                    raise SystemExit("berth-engine ended: " + open(self.log).read())
        sock.close()
        with open(self.log) as f:
            f.seek(where)
            self.port = int(re.search(r"REST API on port (\d+)", f.read()).group(1))
        return self

    def kill(self, how=signal.SIGKILL):
        self.drop()
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30 * PATIENCE)
        status = self.process.returncode if self.process else None
        self.logfile.close()
        return status

    def stop(self):
        self.check_answers()
        status = self.kill(signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    def check_answers(self):
        """Every XML answer that this engine gave must be what its ?schema says. One xmllint for all of them; the same answer once."""
        if self.process and self.process.poll() is None:
            self.check_events()
        if self.process and self.process.poll() is None and self.answers:
            self.schema = self.raw("GET", "/api?schema", headers={"Authorization": self.basic()}).body
        if not self.answers or not self.schema or not shutil.which("xmllint"):
            return
        with tempfile.TemporaryDirectory(prefix="berth-answers-") as directory:
            with open(os.path.join(directory, "api.xsd"), "wb") as f:
                f.write(self.schema)
            names = {}
            for n, (body, what) in enumerate(self.answers.items()):
                names["%d.xml" % n] = what
                with open(os.path.join(directory, "%d.xml" % n), "wb") as f:
                    f.write(body)
            run = subprocess.run(["xmllint", "--noout", "--schema", "api.xsd"] + list(names), cwd=directory, capture_output=True, text=True)
            wrong = [line for line in run.stderr.splitlines() if not line.endswith(" validates")]
            ok(run.returncode == 0, "every XML answer is what the schema says", *["%s: %s" % (names.get(line.split(":")[0], ""), line) for line in wrong])
        self.answers = {}

    def check_events(self):
        """Every event that this engine caused is one of the catalogue: code, severity and text. rows: r16-245"""
        known = {}
        with open(os.path.join(ROOT, "tests", "golden", "events.tsv")) as f:
            for line in f:
                if not line.startswith("#"):
                    code, _, severity, *text = line.rstrip("\n").split("\t")
                    known[int(code)] = (severity, ".*".join(re.escape(part) for part in text[0].split("*")) if text else "")
        told = self.raw("GET", "/api/events;max=50000", headers={"Authorization": self.basic(), "Accept": "application/json"})
        wrong = []
        for event in told.json().get("event", []) if told.status == 200 else []:
            severity, text = known.get(int(event["code"]), ("(no such code)", ""))
            if event["origin"] == "oVirt" and int(event["code"]) not in range(9801, 9805):      # those are clients'
                if severity != event["severity"] or not re.match(text, event["description"], re.S):
                    wrong.append("%s %s: %s; expected %s: %s" % (event["code"], event["severity"], event["description"], severity, text))
        ok(told.status == 200 and not wrong, "every event is one of the catalogue", told if told.status != 200 else "", *wrong)
        self.check_changes(told.json().get("event", []) if told.status == 200 else [])

    def check_changes(self, events):
        """Every change that was asked for by call() and done has an event with its correlation id, who did it and, where events can refer to it, the object."""
        told = {}
        for event in events:
            if event["code"] not in ("30", "31"):
                told.setdefault(event.get("correlation_id"), []).append(event)
        wrong = []
        for name, (method, path) in list(self.changes.items())[-1000:]:      # older ones may be beyond the list
            words = re.sub(r"[;?].*", "", path).split("/")[2:]
            objects = words[:-1] if method == "DELETE" and len(words) % 2 == 0 else words      # what is removed is not referred to
            members = [OBJECTS[kind] for kind in objects[:-1:2] if kind in OBJECTS]             # each has its id behind it
            if not any("user" in event and (not members or any(member in event for member in members)) for event in told.get(name, [])):
                wrong.append("%s %s: %s" % (method, path, told.get(name, "no event")))
        ok(not wrong, "every change has an event with user, correlation id and object", *wrong)
        self.changes = {}

    def sql(self, *statements):
        """Straight in the database, in one transaction; the engine must not run. SQL that both back ends know. Rows of the last one, as lists of texts."""
        if self.database:
            return self.server.sql("BEGIN;%s;COMMIT" % ";".join(statements), self.database, postgres.OWNER)
        db = sqlite3.connect(os.path.join(self.data, "engine.db"))
        with db:
            for statement in statements:
                rows = db.execute(statement).fetchall()
        db.close()
        return [[None if cell is None else str(cell) for cell in row] for row in rows]

    def put(self, table, doc):
        """An object straight into the database; the engine must not run. For states that only hosts and guests bring about."""
        self.sql('INSERT INTO "%s" (id, name, doc) VALUES (%s)' % (table, ", ".join(map(quote, (doc["@id"], doc.get("name"), json.dumps(doc))))))

    # ---- accounts ----
    def tool(self, *args, text=None):
        """A command of berth-engine on this engine's data directory."""
        return subprocess.run([os.path.join(BUILD, "berth-engine"), "--config", self.config, *args], input=text, capture_output=True, text=True)

    def account(self, name, groups=None, password="pw of %s"):
        """An account in the domain internal: name@internal."""
        run = self.tool("user", "add", name, *(["--groups", groups] if groups else []), text=(password.replace("%s", name)) + "\n")
        if run.returncode != 0:
            raise SystemExit(run.stderr)

    def user(self, name, role="RHEVMUser", groups=None):
        """An account that is a user of the engine too, with a role on everything (None: a role on nothing must be given otherwise). Its id."""
        self.account(name, groups)
        answer = self.call("POST", "/api/users", "<user><user_name>%s@internal</user_name><roles><role><name>%s</name></role></roles></user>" % (name, role))
        if answer.status != 201:
            raise SystemExit("user %s: %r" % (name, answer))
        return answer.xml().get("id")

    def as_user(self, name, password="pw of %s"):
        """Value for authorization=: that user's."""
        return self.basic(name + "@internal", password.replace("%s", name))

    # ---- requests ----
    def drop(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    patience = 30 * PATIENCE            # seconds that an answer may take

    def new_connection(self, timeout=None):
        return http.client.HTTPSConnection("localhost", self.port, context=self.context, timeout=timeout or self.patience)

    def basic(self, user="admin@internal", password=PASSWORD):
        return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()

    def raw(self, method, path, body=None, headers=None):
        """Exactly these headers (and Host, Content-Length); over one kept connection."""
        for attempt in (0, 1):
            if not self.connection:
                self.connection = self.new_connection()
            try:
                self.connection.putrequest(method, path, skip_accept_encoding=True)
                for name, value in (headers or {}).items():
                    self.connection.putheader(name, value)
                if body is not None:
                    body = body.encode() if isinstance(body, str) else body
                    self.connection.putheader("Content-Length", str(len(body)))
                self.connection.endheaders(body)
                response = self.connection.getresponse()
                answer = Answer(response.status, response.reason, response.headers, response.read())
                if response.will_close:
                    self.drop()
                if answer.body and response.headers.get("Content-Type", "").startswith("application/xml") and "?schema" not in path and "?rsdl" not in path:
                    self.answers.setdefault(answer.body, "%s %s" % (method, path))
                return answer
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.drop()
                if attempt:
                    raise
        return None

    def call(self, method, path, body=None, changes=True, **headers):
        """With credentials, XML both ways; headers by keyword, '_' for '-', None to leave one out. changes: see check_changes()"""
        given = {"Authorization": self.basic(), "Accept": "application/xml"}
        if body is not None:
            given["Content-Type"] = "application/xml"
        for name, value in headers.items():
            name = "-".join(part.capitalize() for part in name.split("_"))
            if value is None:
                given.pop(name, None)
            else:
                given[name] = value
        asks = path.endswith(QUESTIONS) or "<fence_type>status<" in str(body)
        if method in ("GET", "HEAD", "OPTIONS") or not changes or asks or "Correlation-Id" in given:
            return self.raw(method, path, body, given)
        given["Correlation-Id"] = "change-%d-%d" % (os.getpid(), next(self.numbers))
        answer = self.raw(method, path, body, given)
        if 200 <= answer.status < 300 and answer.status != 202:         # 202: it may yet come to nothing
            self.changes[given["Correlation-Id"]] = (method, path)
        return answer

    def get(self, path, **headers):
        return self.call("GET", path, **headers)

    def search(self, collection, query, matrix=""):
        """Names of the members found."""
        answer = self.get("/api/%s%s?search=%s" % (collection, matrix, urllib.parse.quote(query)))
        if answer.status != 200:
            return answer
        return [item.findtext("name") for item in answer.xml()]

    def id_of(self, collection, name):
        for item in self.get("/api/" + collection).xml():
            if item.findtext("name") == name:
                return item.get("id")
        return None

    def add_vm(self, name, extra="", cluster="Default"):
        return self.call("POST", "/api/vms", "<vm><name>%s</name><cluster><name>%s</name></cluster><template><name>Blank</name></template>%s</vm>"
                         % (name, cluster, extra), expect="201-created")

    # ---- sockets ----
    def socket(self, timeout=60):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout)
        return self.context.wrap_socket(sock, server_hostname="localhost")

    def head(self, method, path, *lines):
        return "\r\n".join(["%s %s HTTP/1.1" % (method, path), "Host: localhost", "Authorization: " + self.basic()] + list(lines)) + "\r\n\r\n"


def read_answer(stream, head=False):
    """One answer from a file made of a socket."""
    line = stream.readline()
    if not line:
        return None
    _, status, reason = line.decode().rstrip("\r\n").split(" ", 2)
    headers = http.client.parse_headers(stream)
    length = 0 if head else int(headers.get("Content-Length", 0))
    return Answer(int(status), reason, headers, stream.read(length))


def wait_until(condition, seconds=30):
    """For what the engine does by itself and tells nobody about: asks until it is so."""
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(PAUSE)
    return None


def state_of(element):
    return element.findtext("status/state")


def is_guid(text):
    return bool(text and re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", text))
