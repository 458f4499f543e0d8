"""A real SMTP server (aiosmtpd) that keeps what it is sent."""

import ssl
import subprocess
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from support.processes import free_port

USER, PASSWORD = "tidegauge", "correct horse"


class Certificate(NamedTuple):
    """A certificate for 127.0.0.1, signed by itself."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate(directory: Path) -> Certificate:
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    done = subprocess.run([*command.split(), *subject, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


class SmtpSink:
    """Takes mail; ``refusals`` are answers to recipients, by address."""

    def __init__(
        self,
        certificate: Certificate | None = None,
        *,
        asks_for_password: bool = False,
        refusals: dict[str, str] | None = None,
    ) -> None:
        self.raw: list[bytes] = []
        self.recipients: list[list[str]] = []
        self._refusals = refusals or {}
        self.port = free_port()
        secure = {} if certificate is None else {"tls_context": certificate.server_context()}
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            require_starttls=certificate is not None,
            auth_required=asks_for_password,
            authenticator=self._check,
            **secure,
        )
        self._controller.start()

    @property
    def messages(self) -> list[EmailMessage]:
        parsed = [message_from_bytes(raw, policy=policy.default) for raw in self.raw]
        return [one for one in parsed if isinstance(one, EmailMessage)]

    def _check(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self._refusals:
            return self._refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.raw.append(envelope.original_content)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"

    def stop(self) -> None:
        self._controller.stop()
