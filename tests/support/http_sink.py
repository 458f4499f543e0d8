"""A real HTTP server that notes every request, and answers as it is told."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str


class Answer(NamedTuple):
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class HttpSink:
    """Answers 200, or what ``answers`` has next; while ``hanging`` it takes requests only."""

    def __init__(self, *answers: Answer, hanging: bool = False) -> None:
        self.requests: list[Request] = []
        #: Called with each request before it is answered.
        self.on_request: Callable[[Request], None] | None = None
        self._answers = list(answers)
        self._go_on = threading.Event()
        if not hanging:
            self._go_on.set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = sink.take(Request(self.path, dict(self.headers), body, self.command))
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    pass  # who asked has given up

            do_GET = do_PATCH = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def take(self, request: Request) -> Answer:
        """Note a request; return its answer once there is one."""
        self.requests.append(request)
        if self.on_request is not None:
            self.on_request(request)
        self._go_on.wait()
        return self._answers.pop(0) if self._answers else Answer()

    def answer_next(self, *answers: Answer) -> None:
        """Answer these next, before it is 200 again."""
        self._answers += answers

    def hang(self) -> None:
        """Take requests only, until it may go on."""
        self._go_on.clear()

    def go_on(self) -> None:
        """Hang no longer."""
        self._go_on.set()

    def stop(self) -> None:
        self._go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
