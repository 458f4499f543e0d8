"""Alerts by e-mail: plain text and HTML, in a thread of the episode, sent to one mail server."""

import binascii
import contextlib
import datetime
import html
import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from tidegauge.contract import Alert
from tidegauge.notify.channel import AlertChannel, Refused, RetryLater
from tidegauge.notify.config import EmailReceiver
from tidegauge.notify.message import Message
from tidegauge.notify.withholding import Digest, message_of

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
            # The message is accepted; an error of QUIT must not send a second copy.
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
    except binascii.Error as error:  # smtplib decodes challenges of AUTH without a check
        raise RetryLater(f"the server's answer can't be read: {error}") from error
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


_STYLE = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


def mail(
    record: Alert | Digest, note: str = "", *, sender: str, to: list[str], now: float
) -> EmailMessage:
    """Write the e-mail. Its Message-ID is the record's id, so that a second copy is known as one.

    All of an episode refer to the same id, made of fingerprint and beginning: mail programs show
    them as one thread.
    """
    text, domain = message_of(record, note), sender.rpartition("@")[2]
    made = EmailMessage()
    made["From"] = f"tidegauge <{sender}>"
    made["To"] = ", ".join(to)
    made["Subject"] = text.title
    made["Date"] = format_datetime(datetime.datetime.fromtimestamp(now, datetime.UTC))
    made["Message-ID"] = f"<{record.id}@{domain}>"
    # RFC 3834: prevents automatic answers, such as notices of absence.
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text.text())
    made.add_alternative(_html(text), subtype="html")
    if isinstance(record, Digest):
        made["X-Tidegauge-Digest"] = record.id
    else:
        made["References"] = f"<{record.fingerprint}.{record.starts_at}@{domain}>"
        made["X-Tidegauge-Alert"] = record.id
    return made


def _html(said: Message) -> str:
    """Write it with tables and inline styles, which is what mail programs can show."""
    rows = "".join(
        f'<tr><td style="padding:3px 16px 3px 0;color:#667;white-space:nowrap;vertical-align:top">'
        f'{html.escape(name)}</td><td style="padding:3px 0">{_lines(fact)}</td></tr>'
        for name, fact in said.facts
    )
    advice = (
        f'<p style="margin:16px 0 0"><b>What to do.</b> {html.escape(said.advice)}</p>'
        if said.advice
        else ""
    )
    commands = "".join(
        f'<tr><td style="padding:3px 16px 3px 0;color:#667">{html.escape(name)}</td>'
        f'<td style="padding:3px 0"><code>{html.escape(command)}</code></td></tr>'
        for name, command in said.commands
    )
    buttons = "".join(
        f'<a href="{html.escape(url)}" style="display:inline-block;margin:16px 10px 0 0;'
        f'padding:8px 16px;background:#23395b;color:#fff;text-decoration:none;border-radius:4px">'
        f"{name}</a>"
        for name, url in (("Runbook", said.runbook), ("Dashboard", said.dashboard))
        if url
    )
    return (
        f'<!DOCTYPE html><html lang="en"><body style="margin:0;padding:16px;background:#f4f5f7">'
        f'<table role="presentation" cellpadding="0" cellspacing="0" style="width:100%;'
        f"max-width:640px;margin:0 auto;background:#fff;border-top:6px solid {said.colour};"
        f'{_STYLE};font-size:15px;line-height:1.4;color:#1b1f24"><tr><td style="padding:20px 24px">'
        f'<h1 style="margin:0 0 8px;font-size:19px">{html.escape(said.title)}</h1>'
        f'<p style="margin:0 0 14px">{html.escape(said.summary)}</p>'
        f'<table role="presentation" cellpadding="0" cellspacing="0" style="font-size:14px">{rows}'
        f"</table>{advice}"
        f'<table role="presentation" cellpadding="0" cellspacing="0" style="font-size:13px;'
        f'margin:16px 0 0">{commands}</table>{buttons}</td></tr></table></body></html>'
    )


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


class EmailChannel(AlertChannel):
    """To a mail server."""

    receiver: EmailReceiver

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        return f"{self.receiver.host}:{self.receiver.port}"

    def deliver(self, record: Alert | Digest, note: str = "") -> None:
        """Send the e-mail."""
        to = self.receiver
        send(mail(record, note, sender=to.sender, to=to.to, now=self._clock()), to)
