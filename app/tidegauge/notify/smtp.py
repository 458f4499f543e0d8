"""One e-mail to one mail server, and what its answer means."""

import contextlib
import logging
import smtplib
import ssl
from email.message import EmailMessage

from tidegauge.notify.config import EmailReceiver
from tidegauge.notify.outcome import Refused, RetryLater

log = logging.getLogger(__name__)


def send(message: EmailMessage, to: EmailReceiver) -> None:
    """Send a message; returns if the server has taken it for at least one of the people.

    Raises :class:`RetryLater` if nobody answers in time or for an answer of 4xx, and
    :class:`Refused` for one of 5xx: wrong password, no such mailbox.
    """
    try:
        server = _connected(to)
        try:
            if to.username is not None and to.password is not None:
                server.login(to.username, to.password.reveal())
            refused = server.send_message(message)
            # It is taken. A server that makes trouble over saying goodbye gets no second copy.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()
    except smtplib.SMTPRecipientsRefused as error:
        answers = [_said(code, text) for code, text in error.recipients.values()]
        codes = [code for code, _ in error.recipients.values()]
        if any(code < 500 for code in codes):
            raise RetryLater("; ".join(answers)) from error
        raise Refused("; ".join(answers)) from error
    except smtplib.SMTPResponseException as error:
        why = _said(error.smtp_code, error.smtp_error)
        if 500 <= error.smtp_code < 600:
            raise Refused(why) from error
        raise RetryLater(why) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(f"the server can't do what is asked for: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise RetryLater(str(error) or type(error).__name__) from error
    for address, (code, text) in refused.items():
        log.error("receiver %s: not sent to %s: %s", to.name, address, _said(code, text))


def _connected(to: EmailReceiver) -> smtplib.SMTP:
    timeout = to.timeout_seconds
    if to.security == "none":
        return smtplib.SMTP(to.host, to.port, timeout=timeout)
    context = ssl.create_default_context(cafile=to.ca_file)
    if to.security == "tls":
        return smtplib.SMTP_SSL(to.host, to.port, timeout=timeout, context=context)
    server = smtplib.SMTP(to.host, to.port, timeout=timeout)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _said(code: int, text: bytes | str) -> str:
    return f"SMTP {code}: {text.decode(errors='replace') if isinstance(text, bytes) else text}"
