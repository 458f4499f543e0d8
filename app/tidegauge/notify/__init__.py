"""Channels to receivers: the message for each kind, and how it is sent. No Kafka.

Pure in the middle (an alert goes in, a body comes out); sockets in ``channel`` and ``mail``.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.notify.channel import (
        Channel as Channel,
        Refused as Refused,
        RetryLater as RetryLater,
    )
    from tidegauge.notify.channels import channel_to as channel_to
    from tidegauge.notify.config import (
        Receiver as Receiver,
        ReceiverFile as ReceiverFile,
        load_receivers as load_receivers,
    )
    from tidegauge.notify.withholding import (
        Digest as Digest,
        Limit as Limit,
        MessageBudget as MessageBudget,
        collect_until as collect_until,
        digest_body as digest_body,
        is_critical as is_critical,
        is_last as is_last,
        is_waiting as is_waiting,
        limit_note as limit_note,
        never_notified as never_notified,
        read_budget as read_budget,
        step as step,
        was_notified as was_notified,
    )

face(__name__)
