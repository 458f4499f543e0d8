"""Attempts over real sockets: what is delivered, what is tried again, what is refused."""

import base64
import contextlib
import smtplib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.alerts import example_alert
from support.http_sink import Answer, HttpSink
from support.processes import free_port
from support.smtp_sink import PASSWORD, USER, Certificate, SmtpSink, make_certificate
from tidegauge.notify.channel import Refused, RetryLater, request
from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import ReceiverFile

post = partial(request, "POST", read=False)


@contextlib.contextmanager
def stopped(sink: Any) -> Iterator[Any]:
    try:
        yield sink
    finally:
        sink.stop()


def sent(*answers: Answer) -> list[Any]:
    with stopped(HttpSink(*answers)) as sink:
        post(f"{sink.url}/hook", b"{}", {"X-One": "1"}, timeout_seconds=5)
        found: list[Any] = sink.requests
        return found


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_a_delivery(status: int) -> None:
    (request,) = sent(Answer(status))
    assert (request.path, request.body) == ("/hook", b"{}")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-One"] == "1"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    with pytest.raises(RetryLater, match=f"HTTP {status}: busy") as caught:
        sent(Answer(status, {"Retry-After": "7"}, b"busy"))
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "asked",
    [
        "soon",
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Thu, 01 Jan 2027 00:00:00 +99999999999999",
    ],
)
def test_a_wait_that_no_clock_can_have_is_none(asked: str) -> None:
    with pytest.raises(RetryLater) as caught:
        sent(Answer(429, {"Retry-After": asked}))
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 410, 413, 422])
def test_what_does_not_pass_is_refused(status: int) -> None:
    with pytest.raises(Refused, match=f"HTTP {status}: no"):
        sent(Answer(status, {"Location": "http://127.0.0.1:1/"}, b"no"))


def test_no_answer_in_time_is_tried_again() -> None:
    sink = HttpSink(hanging=True)
    with stopped(sink), pytest.raises(RetryLater, match=r"no answer within 0\.2 s"):
        post(sink.url, b"{}", {}, timeout_seconds=0.2)


def test_an_answer_that_drips_is_none() -> None:
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.05):
                connection.sendall(b"X-Drip: 1\r\n")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(RetryLater, match="no answer within"):
            post(f"http://127.0.0.1:{listener.getsockname()[1]}", b"{}", {}, timeout_seconds=0.4)
    finally:
        over.set()
        thread.join()
        listener.close()


def test_a_2xx_is_a_delivery_before_the_rest_of_its_answer_has_come() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            over.wait(20)

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        post(url, b"{}", {}, timeout_seconds=5)
    finally:
        over.set()
        thread.join()
        listener.close()


def test_nobody_there_is_tried_again_and_the_path_is_not_told() -> None:
    with pytest.raises(RetryLater) as caught:
        post(f"http://127.0.0.1:{free_port()}/T0/secret", b"{}", {}, timeout_seconds=5)
    assert "secret" not in str(caught.value) and "127.0.0.1" in str(caught.value)


# --- mail


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def email(sink: SmtpSink, tmp_path: Path, *, password: str | None = None, **options: Any) -> None:
    """Send the example by e-mail."""
    given: dict[str, Any] = {
        "name": "mail",
        "type": "email",
        "host": "127.0.0.1",
        "port": sink.port,
        "from": "tide@example.com",
        "to": ["a@example.com", "b@example.com"],
        "timeout_seconds": 5,
        **options,
    }
    if password is not None:
        (tmp_path / "password").write_text(password)
        given |= {"username": USER, "password": {"file": str(tmp_path / "password")}}
    (receiver,) = ReceiverFile.model_validate({"receivers": [given]}).receivers
    channel_to(receiver).deliver(example_alert())


def test_mail_goes_out_over_starttls_with_a_password(
    certificate: Certificate, tmp_path: Path
) -> None:
    with stopped(SmtpSink(certificate, asks_for_password=True)) as sink:
        email(sink, tmp_path, password=PASSWORD, ca_file=str(certificate.certificate))
        (message,) = sink.messages
    assert sink.recipients == [["a@example.com", "b@example.com"]]
    assert message["Message-ID"] == f"<{example_alert().id}@example.com>"
    assert "income has drifted" in message.get_body(("plain",)).get_content()


def test_a_wrong_password_is_refused(certificate: Certificate, tmp_path: Path) -> None:
    with (
        stopped(SmtpSink(certificate, asks_for_password=True)) as sink,
        pytest.raises(Refused, match="SMTP 535"),
    ):
        email(sink, tmp_path, password="wrong", ca_file=str(certificate.certificate))  # noqa: S106


def test_a_challenge_that_is_no_base64_is_tried_again(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def login(*_: object) -> None:
        base64.decodebytes(b"abc")  # as smtplib does with what follows 334

    monkeypatch.setattr(smtplib.SMTP, "login", login)
    with (
        stopped(SmtpSink(certificate, asks_for_password=True)) as sink,
        pytest.raises(RetryLater, match="can't be read"),
    ):
        email(sink, tmp_path, password=PASSWORD, ca_file=str(certificate.certificate))


def test_a_certificate_that_nobody_vouches_for_gets_no_password(
    certificate: Certificate, tmp_path: Path
) -> None:
    with (
        stopped(SmtpSink(certificate, asks_for_password=True)) as sink,
        pytest.raises(RetryLater, match="certificate verify failed"),
    ):
        email(sink, tmp_path, password=PASSWORD)
    assert sink.raw == []


def test_a_server_without_starttls_is_refused(tmp_path: Path) -> None:
    with stopped(SmtpSink()) as sink, pytest.raises(Refused, match="STARTTLS"):
        email(sink, tmp_path)


@pytest.mark.parametrize(
    ("refusals", "error"),
    [
        ({"a@example.com": "550 no such user", "b@example.com": "550 nor this"}, Refused),
        ({"a@example.com": "450 later", "b@example.com": "550 no such user"}, RetryLater),
    ],
)
def test_mail_that_nobody_may_have_is_refused_or_tried_again(
    tmp_path: Path, refusals: dict[str, str], error: type[Exception]
) -> None:
    with stopped(SmtpSink(refusals=refusals)) as sink, pytest.raises(error):
        email(sink, tmp_path, security="none")


def test_mail_that_one_of_them_may_have_is_delivered_and_the_other_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with stopped(SmtpSink(refusals={"a@example.com": "550 no such user"})) as sink:
        email(sink, tmp_path, security="none")
    assert sink.recipients == [["b@example.com"]]
    assert "not sent to a@example.com: SMTP 550: no such user" in caplog.text


def test_no_mail_server_is_tried_again(tmp_path: Path) -> None:
    sink = SmtpSink()
    sink.stop()
    with pytest.raises(RetryLater, match="Connection refused"):
        email(sink, tmp_path, security="none")
