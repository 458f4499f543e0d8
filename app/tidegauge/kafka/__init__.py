"""Speaking Kafka: reading, writing, consumer groups, transactions, topics and their permissions.

Roles and commands use it. What it reads and writes is for others to know.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.kafka.acls import ROLES as ROLES, commands as commands
    from tidegauge.kafka.bounded import bounded as bounded
    from tidegauge.kafka.group_reader import (
        GroupReader as GroupReader,
        Interrupted as Interrupted,
        ReceivedRecord as ReceivedRecord,
    )
    from tidegauge.kafka.group_session import (
        SessionError as SessionError,
        run_sessions as run_sessions,
    )
    from tidegauge.kafka.groups import (
        Groups as Groups,
        GroupState as GroupState,
        RoleGroup as RoleGroup,
        role_groups as role_groups,
    )
    from tidegauge.kafka.headers import headers_of as headers_of
    from tidegauge.kafka.quarantine import (
        Quarantine as Quarantine,
        is_of_a_record as is_of_a_record,
    )
    from tidegauge.kafka.readback import (
        ChangelogReader as ChangelogReader,
        LogShorterError as LogShorterError,
    )
    from tidegauge.kafka.reader import (
        KafkaRecord as KafkaRecord,
        Skipped as Skipped,
        read_range as read_range,
        read_span as read_span,
        read_tail as read_tail,
        read_topic as read_topic,
        refuse as refuse,
    )
    from tidegauge.kafka.sequence import InputSequence as InputSequence
    from tidegauge.kafka.steady_consumer import SteadyConsumer as SteadyConsumer
    from tidegauge.kafka.topic_watch import TopicWatch as TopicWatch
    from tidegauge.kafka.topics import (
        NO_TOPIC_ID as NO_TOPIC_ID,
        Topics as Topics,
        topic_specs as topic_specs,
    )
    from tidegauge.kafka.transaction import (
        DeadLettersError as DeadLettersError,
        RebalancingError as RebalancingError,
        StuckError as StuckError,
        commit as commit,
    )
    from tidegauge.kafka.unreadable import (
        ReadFrom as ReadFrom,
        UnreadableBatches as UnreadableBatches,
        is_end as is_end,
        stopping as stopping,
    )
    from tidegauge.kafka.writable import WritableWatch as WritableWatch
    from tidegauge.kafka.writer import (
        NotTaken as NotTaken,
        RecordWriter as RecordWriter,
        TooLarge as TooLarge,
    )

face(
    __name__,
    {
        "acls": ("ROLES", "commands"),
        "bounded": ("bounded",),
        "group_reader": ("GroupReader", "Interrupted", "ReceivedRecord"),
        "group_session": ("SessionError", "run_sessions"),
        "groups": ("GroupState", "Groups", "RoleGroup", "role_groups"),
        "headers": ("headers_of",),
        "quarantine": ("Quarantine", "is_of_a_record"),
        "readback": ("ChangelogReader", "LogShorterError"),
        "reader": (
            "KafkaRecord",
            "Skipped",
            "read_range",
            "read_span",
            "read_tail",
            "read_topic",
            "refuse",
        ),
        "sequence": ("InputSequence",),
        "steady_consumer": ("SteadyConsumer",),
        "topic_watch": ("TopicWatch",),
        "topics": ("NO_TOPIC_ID", "Topics", "topic_specs"),
        "transaction": ("DeadLettersError", "RebalancingError", "StuckError", "commit"),
        "unreadable": ("ReadFrom", "UnreadableBatches", "is_end", "stopping"),
        "writable": ("WritableWatch",),
        "writer": ("NotTaken", "RecordWriter", "TooLarge"),
    },
)
