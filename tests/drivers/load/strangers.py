"""Services that are none, or wrong ones: fakes on loopback."""

import json
import socketserver
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler


class Stranger(BaseHTTPRequestHandler):
    """Answers like no service of embeddings."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        return 200, b"<html>proxy</html>"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.answer()
        self.send_response(status)
        if isinstance(body, str):
            self.send_header("Location", body)
            body = b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True

    def handle_error(self, *_):
        pass


class stranger:  # noqa: N801
    """A server of a handler, in a thread."""

    def __init__(self, handler, certificate=None):
        self._server, self._scheme = Server(("127.0.0.1", 0), handler), "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class Talks(Stranger):
    """Says that it serves, and answers with no vectors."""

    def answer(self):
        return 200, b'{"data": [{"id": "none"}]}' if self.path == "/v1/models" else b"<html>proxy</html>"


class Refuses(Stranger):
    """Wants a key."""

    def answer(self):
        return (200, b'{"data": [{"id": "none"}]}') if self.path == "/v1/models" else (401, b'{"error": "who?"}')


class Locked(Stranger):
    """Wants a key for whatever is asked."""

    def answer(self):
        return 401, b'{"error": "who?"}'


TWO = json.dumps({"data": [{"index": place, "embedding": [1.0, place]} for place in range(2)]}).encode()


class Answers(Stranger):
    """Answers a first request, and then as `later` says."""

    later = 200, b'{"error": {"message": "out of memory"}}'

    def answer(self):
        if self.path != "/v1/embeddings":
            return 200, b'{"data": [{"id": "none"}]}'
        self.server.asked = getattr(self.server, "asked", 0) + 1
        if self.server.asked > 1:
            return self.later
        return 200, TWO


class HangsUp(Answers):
    """Answers six requests, closes the connection of any other without a word, and goes on listening."""

    later = 200, TWO

    def answer(self):
        found = super().answer()
        if self.path == "/v1/embeddings" and self.server.asked > 6:
            raise ConnectionAbortedError
        return found


class Stalls(Answers):
    """Lets one request wait, the fifth; a service that `ends` then any later one too."""

    later, ends = (200, TWO), False

    def answer(self):
        found = super().answer()
        if self.path == "/v1/embeddings" and (self.server.asked == 5 or (self.ends and self.server.asked > 5)):
            time.sleep(600)
        return found


class Stops(Stalls):
    """Answers nobody any more, and listens."""

    ends = True


class Fewer(Answers):
    """Answers with a vector less."""

    later = 200, b'{"data": [{"object": "embedding", "index": 0, "embedding": [1.0, 2.0]}]}'


class Rejects(Answers):
    """Takes no second request."""

    later = 422, b'{"error": "too long"}'
