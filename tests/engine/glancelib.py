# SPDX-License-Identifier: Apache-2.0
"""An image service and its Keystone, as their public API references describe them: Image API v2, Identity API v3 and v2.0. In memory.

    g = Glance(users={"berth": "secret"}, project="lab", tls=None)
    users={}: it is open to everybody
    g.url, g.keystone(3)                    what an engine is told
    which = g.put("name", bytes, "qcow2")   an image that is active; more members by keyword
    g.images[which]                         {"name", "status", "data", ...}
    g.tokens                                all that were given
    g.hang = ("GET", "/v2/images")          requests of that method whose path begins so are not answered until g.go.set()
    g.swap[which] = bytes                   what is sent to who asks for the whole file
    g.cut[which] = n                        so many bytes are sent
    g.refuse = {"PUT": 503}                 statuses of methods
"""
import contextlib
import hashlib
import http.server
import json
import os
import re
import socket
import threading
import urllib.parse
import uuid

HIDDEN = ("data",)


class Glance:
    def __init__(self, users, project="lab", tls=None, host="127.0.0.1"):
        os.environ["no_proxy"] = "*"
        self.users, self.project = users, project
        self.images, self.tokens, self.seen = {}, [], []
        self.hang, self.swap, self.cut, self.refuse = None, {}, {}, {}
        self.waiting, self.go, self.lock = threading.Event(), threading.Event(), threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *what):
                pass

            def answer(self, status, body=b"", headers=()):
                if isinstance(body, (dict, list)):
                    body = json.dumps(body).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.close_connection = True
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def turn_down(self, status):
                """As RFC 9112, 9.6 has it: what still comes is read, or a reset of the connection could overtake the answer."""
                self.answer(status)
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_WR)
                    while self.rfile.read(1 << 16):
                        pass

            def serve(self):
                path, _, query = self.path.partition("?")
                owner.seen.append((self.command, path))
                if owner.hang and self.command == owner.hang[0] and path.startswith(owner.hang[1]):
                    owner.waiting.set()
                    owner.go.wait(300)
                if path in ("/v3/auth/tokens", "/v2.0/tokens"):
                    return self.token(path)
                if owner.users and self.headers.get("X-Auth-Token") not in owner.tokens:
                    return self.answer(401)
                if self.command in owner.refuse:
                    return self.turn_down(owner.refuse[self.command])
                words = path.strip("/").split("/")
                if words[:2] != ["v2", "images"]:
                    return self.answer(404)
                image = owner.images.get(words[2]) if len(words) > 2 else None
                if len(words) > 2 and not image:
                    return self.answer(404)
                return {0: self.all, 1: self.one, 2: self.file}[len(words) - 2](image, urllib.parse.parse_qs(query))

            do_GET = do_POST = do_PUT = do_DELETE = serve

            def token(self, path):
                order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]
                if path.startswith("/v3"):
                    user, project = order["identity"]["password"]["user"], order["scope"]["project"]["name"]
                    good = owner.users.get(user["name"]) == user["password"] and user["domain"] == {"name": "Default"}
                else:
                    user, project = order["passwordCredentials"], order["tenantName"]
                    good = owner.users.get(user["username"]) == user["password"]
                if not good or project != owner.project:
                    return self.answer(401)
                token = "gAAAA-" + uuid.uuid4().hex
                owner.tokens.append(token)
                if path.startswith("/v3"):
                    return self.answer(201, {"token": {"methods": ["password"]}}, {"X-Subject-Token": token})
                return self.answer(200, {"access": {"token": {"id": token}}})

            def shown(self, which, image):
                return dict({k: v for k, v in image.items() if k not in HIDDEN}, id=which, self="/v2/images/" + which, file="/v2/images/%s/file" % which)

            def all(self, image, query):
                if self.command == "POST":
                    order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                    which = order.pop("id", None) or str(uuid.uuid4())
                    with owner.lock:
                        if which in owner.images:
                            return self.answer(409)
                        owner.images[which] = dict(order, status="queued", data=b"", size=None, checksum=None)
                    return self.answer(201, self.shown(which, owner.images[which]))
                found = sorted((x["name"], which) for which, x in owner.images.items() if x["status"] == query.get("status", [x["status"]])[0])
                if "marker" in query:
                    found = found[[which for _, which in found].index(query["marker"][0]) + 1:]
                limit = min(int(query.get("limit", ["25"])[0]), 3)              # a service may give less than is asked for
                page = {"images": [self.shown(which, owner.images[which]) for _, which in found[:limit]], "first": "/v2/images"}
                if found[limit:]:
                    page["next"] = "/v2/images?" + urllib.parse.urlencode(dict({k: v[0] for k, v in query.items()}, marker=found[limit - 1][1]))
                return self.answer(200, page)

            def one(self, image, query):
                which = self.path.split("/")[3]
                if self.command == "DELETE":
                    owner.images.pop(which, None)
                    return self.answer(204)
                return self.answer(200, self.shown(which, image))

            def file(self, image, query):
                which = self.path.split("/")[3]
                if self.command == "PUT":
                    return self.take(which, image)
                data, part = image["data"], re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                if part:
                    return self.answer(206, data[int(part[1]):int(part[2]) + 1])
                data = owner.swap.get(which, data)
                if which in owner.cut:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        self.wfile.write(data[:owner.cut[which]])
                    return None
                return self.answer(200, data)

            def take(self, which, image):
                with owner.lock:
                    if image["status"] != "queued":
                        return self.answer(409)
                    image["status"] = "saving"
                left, data = int(self.headers["Content-Length"]), []
                while left:
                    data.append(self.rfile.read(min(left, 1 << 20)))
                    left -= len(data[-1])
                    if not data[-1]:                                            # who sends is gone: as before
                        image["status"] = "queued"
                        return None
                owner.fill(image, b"".join(data))
                return self.answer(204)

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass

        self.server = Server((host, 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = "%s://%s:%d" % ("https" if tls else "http", host, self.server.server_port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keystone(self, version):
        return self.url + {2: "/v2.0", 3: "/v3"}[version]

    def fill(self, image, data):
        image.update(data=data, size=len(data), checksum=hashlib.md5(data).hexdigest(), os_hash_algo="sha512",
                     os_hash_value=hashlib.sha512(data).hexdigest(), status="active")

    def put(self, name, data, disk_format, **more):
        which = str(uuid.uuid4())
        image = {"name": name, "disk_format": disk_format, "container_format": "bare"}
        self.fill(image, data)
        image.update(more)
        self.images[which] = image
        return which
