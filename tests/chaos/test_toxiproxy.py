"""Toxiproxy does to connections what the faults of a run rely on."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from chaos.site.toxiproxy import Proxy, Toxiproxy
from support.processes import free_port


class Echo(BaseRequestHandler):
    """Sends back what it is sent."""

    def handle(self) -> None:
        with suppress(OSError):
            while data := self.request.recv(1024):
                self.request.sendall(data)


class EchoServer(ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture(scope="module")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    server = Toxiproxy(tmp_path_factory.mktemp("toxiproxy"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def proxy(toxiproxy: Toxiproxy, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """Make a proxy before an echo server."""
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        port = server.server_address[1]
        yield toxiproxy.proxy(request.node.name, port=free_port(), upstream=port)
        server.shutdown()
        thread.join()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def echoes(client: socket.socket, seconds: float = 5) -> bool:
    """Whether what is sent comes back in time; raises ``OSError`` if the connection is gone."""
    client.settimeout(seconds)
    client.sendall(b"x")
    try:
        said = client.recv(1)
    except TimeoutError:
        return False
    if not said:
        raise ConnectionResetError("closed")
    return True


def test_a_proxy_passes_everything_on(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert echoes(client)


def test_a_cut_breaks_connections_and_refuses_new_ones_until_every_cut_is_over(
    proxy: Proxy,
) -> None:
    with connect(proxy) as client:
        assert echoes(client)
        with proxy.refused():
            with proxy.refused():
                with pytest.raises(OSError):
                    echoes(client)
                with pytest.raises(ConnectionRefusedError):
                    connect(proxy)
            with pytest.raises(ConnectionRefusedError):
                connect(proxy)
    with connect(proxy) as client:
        assert echoes(client)


def test_a_silent_cut_lets_nothing_through_and_breaks_connections_in_the_end(
    proxy: Proxy,
) -> None:
    with connect(proxy) as client:
        assert echoes(client)
        with proxy.silent():
            assert not echoes(client, 0.3)
            with connect(proxy) as other:
                assert not echoes(other, 0.3)
        with pytest.raises(OSError):
            echoes(client)
    with connect(proxy) as client:
        assert echoes(client)


def test_a_slow_network_delays_answers_while_it_lasts(proxy: Proxy) -> None:
    with connect(proxy) as client:
        with proxy.slow(200, 50):
            began = time.monotonic()
            assert echoes(client)
            assert time.monotonic() - began > 0.14
        assert echoes(client)


def test_what_toxiproxy_refuses_is_told(toxiproxy: Toxiproxy) -> None:
    with pytest.raises(RuntimeError, match="404"):
        toxiproxy.call("DELETE", "/proxies/unknown")
