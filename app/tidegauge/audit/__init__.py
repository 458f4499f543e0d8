"""The audit trail: facts chained by their hashes, and the history of an action or an alert in it.

Only ``facts`` reads and writes Kafka.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.audit.chain import (
        Chain as Chain,
        ChainIndex as ChainIndex,
        Entry as Entry,
        Origin as Origin,
    )
    from tidegauge.audit.facts import (
        StoredRecord as StoredRecord,
        facts_of as facts_of,
        read_audit as read_audit,
        report_fact as report_fact,
    )
    from tidegauge.audit.verify import verify as verify
    from tidegauge.audit.why import (
        EVENTS as EVENTS,
        as_text as as_text,
        asked_for as asked_for,
        explain as explain,
    )

face(__name__)
