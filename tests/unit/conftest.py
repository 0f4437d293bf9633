"""A small real HTTP server that answers what a test tells it to."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gondwana.sdk import Client


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: dict = field(default_factory=dict)
    cut_after: int | None = None  # send only so many bytes of the body, then hang up


@dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: bytes


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that hung up is no news."""


class Plane:
    """Answers with `replies` in order, or by `respond(request)`; remembers what it was asked."""

    def __init__(self):
        self.replies: list[Reply] = []
        self.respond = None
        self.requests: list[Request] = []
        self.server = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, value=None, *, status=200, body=None, cut_after=None, **headers):
        body = json.dumps(value).encode() if body is None else body
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        self.replies.append(Reply(status=status, body=body, headers=headers, cut_after=cut_after))

    def problem(self, status, code, detail="because", **members):
        self.reply({"code": code, "status": status, "detail": detail, **members}, status=status)

    def _handler(plane):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, dict(self.headers), body)
                plane.requests.append(request)
                reply = plane.respond(request) if plane.respond else plane.replies.pop(0)
                self.send_response(reply.status)
                if "Content-Length" not in reply.headers and reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body)))
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.end_headers()
                if self.command == "HEAD" or reply.status == 204:
                    return
                self.wfile.write(reply.body[: reply.cut_after])
                if reply.cut_after is not None:
                    self.wfile.flush()
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

            def log_message(self, *arguments):
                pass

        return Handler


@pytest.fixture
def plane():
    plane = Plane()
    yield plane
    plane.server.shutdown()
    plane.server.server_close()


@pytest.fixture
def client(plane):
    pauses: list[float] = []
    client = Client(plane.url, "secret", wait=pauses.append)
    client.pauses = pauses
    return client
