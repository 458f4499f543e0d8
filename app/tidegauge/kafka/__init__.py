"""Speaking Kafka: reading, writing, consumer groups, transactions, topics and their permissions.

``clients`` makes every client; roles and commands use the rest. What is in the records is for
others to know.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.kafka.acls import (
        ROLES as ROLES,
        AclRole as AclRole,
        commands as commands,
    )
    from tidegauge.kafka.admin import (
        NO_ANSWER as NO_ANSWER,
        Admin as Admin,
        BrokersAway as BrokersAway,
        Groups as Groups,
        GroupState as GroupState,
        RoleGroup as RoleGroup,
        ask_brokers as ask_brokers,
        role_groups as role_groups,
    )
    from tidegauge.kafka.backfill import (
        LogShorterError as LogShorterError,
        Offsets as Offsets,
        PartitionReader as PartitionReader,
    )
    from tidegauge.kafka.clients import (
        OFFSET_BEGINNING as OFFSET_BEGINNING,
        PARTITIONER as PARTITIONER,
        Consumer as Consumer,
        KafkaError as KafkaError,
        KafkaException as KafkaException,
        Message as Message,
        TopicPartition as TopicPartition,
        acknowledgement_consumer as acknowledgement_consumer,
        client_version as client_version,
        fact_producer as fact_producer,
        ingest_consumer as ingest_consumer,
        ingest_producer as ingest_producer,
        ingest_producer_config as ingest_producer_config,
        ledger_consumer as ledger_consumer,
        ledger_producer as ledger_producer,
        mock_cluster as mock_cluster,
        outcomes_consumer as outcomes_consumer,
        outcomes_producer as outcomes_producer,
        reader as reader,
    )
    from tidegauge.kafka.group_reader import (
        GroupReader as GroupReader,
        Interrupted as Interrupted,
        ReceivedRecord as ReceivedRecord,
    )
    from tidegauge.kafka.group_session import (
        Membership as Membership,
        Quarantine as Quarantine,
        SessionError as SessionError,
        retry as retry,
        run_sessions as run_sessions,
    )
    from tidegauge.kafka.reader import (
        KafkaRecord as KafkaRecord,
        batches as batches,
        follow as follow,
        is_at_end as is_at_end,
        messages_in as messages_in,
        partitions_of as partitions_of,
        place_of as place_of,
        read_newest as read_newest,
        read_partitions as read_partitions,
        read_range as read_range,
        read_span as read_span,
        read_topic as read_topic,
        refuse as refuse,
        written_at as written_at,
    )
    from tidegauge.kafka.topics import (
        Topics as Topics,
        topic_specs as topic_specs,
    )
    from tidegauge.kafka.transaction import (
        DeadLettersError as DeadLettersError,
        NotTaken as NotTaken,
        RebalancingError as RebalancingError,
        RecordWriter as RecordWriter,
        StuckError as StuckError,
        TooLarge as TooLarge,
        commit as commit,
        is_of_a_record as is_of_a_record,
    )
    from tidegauge.kafka.unreadable import (
        ReadFrom as ReadFrom,
        Skipped as Skipped,
        UnreadableBatches as UnreadableBatches,
        headers_of as headers_of,
        is_end as is_end,
        stopping as stopping,
    )
    from tidegauge.kafka.watches import TopicWatch as TopicWatch

face(__name__)
