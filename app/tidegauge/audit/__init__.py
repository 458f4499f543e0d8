"""The audit trail: facts chained by their hashes, and what it says of an action or an alert.

``facts`` and ``read`` speak to Kafka; all the others are pure.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.audit.chain import Chain as Chain
    from tidegauge.audit.chain_index import (
        ChainIndex as ChainIndex,
        Entry as Entry,
        Origin as Origin,
    )
    from tidegauge.audit.clients import (
        PARTITIONER as PARTITIONER,
        consumer_config as consumer_config,
        producer_config as producer_config,
    )
    from tidegauge.audit.fact_builders import facts_of as facts_of
    from tidegauge.audit.facts import NotAudited as NotAudited, report_fact as report_fact
    from tidegauge.audit.read import (
        StoredRecord as StoredRecord,
        read_audit as read_audit,
        read_partition as read_partition,
    )
    from tidegauge.audit.verify import verify as verify
    from tidegauge.audit.why import (
        EVENTS as EVENTS,
        as_text as as_text,
        asked_for as asked_for,
        explain as explain,
    )

face(
    __name__,
    {
        "chain": ("Chain",),
        "chain_index": ("ChainIndex", "Entry", "Origin"),
        "clients": ("PARTITIONER", "consumer_config", "producer_config"),
        "fact_builders": ("facts_of",),
        "facts": ("NotAudited", "report_fact"),
        "read": ("StoredRecord", "read_audit", "read_partition"),
        "verify": ("verify",),
        "why": ("EVENTS", "as_text", "asked_for", "explain"),
    },
)
