"""What strangers and operators do to the source topic and to the group that counts it."""

import threading
from contextlib import suppress

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions

from chaos.plan.faults import MORE_PARTITIONS
from support.kafka_broker import KafkaBroker, unique
from support.kafka_cluster import KafkaCluster
from support.processes import wait_until

#: Time for something that needs a broker which is coming back just now.
_RETRY_SECONDS = 60.0

#: Nobody is to count it, though it would be an event.
NEVER_COMMITTED = b'{"model":"never","version":"1","time":0}'

Brokers = KafkaBroker | KafkaCluster


def leave_open(brokers: Brokers, topic: str, partition: int, seconds: float) -> None:
    """Begin a transaction on a partition, and give it up later."""
    producer = Producer(
        {
            "bootstrap.servers": brokers.bootstrap_servers,
            "transactional.id": unique("stranger"),
            "transaction.timeout.ms": int(2 * 1000 * (seconds + _RETRY_SECONDS)),
            "log_level": 2,
        }
    )

    def begun() -> bool:
        with suppress(KafkaException):
            producer.init_transactions(10)
            return True
        return False

    wait_until(begun, seconds=_RETRY_SECONDS, what="a stranger has a transactional producer")
    producer.begin_transaction()
    producer.produce(topic, NEVER_COMMITTED, partition=partition)
    producer.flush(_RETRY_SECONDS)
    threading.Event().wait(seconds)

    def ended() -> bool:
        with suppress(KafkaException):
            producer.abort_transaction(10)
            return True
        return False

    wait_until(ended, seconds=_RETRY_SECONDS, what="the stranger's transaction is aborted")


def reset_offsets(brokers: Brokers, group: str, topic: str, *, gone: bool) -> bool:
    """Delete a group, or set it back to the beginning; False if that may not be yet."""
    admin = brokers.admin()
    with suppress(KafkaException):
        if gone:
            admin.delete_consumer_groups([group], request_timeout=10)[group].result()
            return True
        partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
        begin = [TopicPartition(topic, partition, 0) for partition in partitions]
        [asked] = admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, begin)], request_timeout=10
        ).values()
        return all(at.error is None for at in asked.result().topic_partitions)
    return False


def add_partitions(brokers: Brokers, topic: str) -> None:
    """Give the source more partitions; the traffic uses them once it sees them."""
    admin = brokers.admin()

    def added() -> bool:
        with suppress(KafkaException):
            if len(admin.list_topics(topic, timeout=5).topics[topic].partitions) >= MORE_PARTITIONS:
                return True
            wanted = [NewPartitions(topic, MORE_PARTITIONS)]
            for future in admin.create_partitions(wanted, request_timeout=10).values():
                future.result()
        return False

    wait_until(added, seconds=_RETRY_SECONDS, what=f"{topic} has {MORE_PARTITIONS} partitions")


def delete_topic(admin: AdminClient, topic: str) -> None:
    """Delete a topic, and return once it is gone."""

    def deleted() -> bool:
        with suppress(KafkaException, TimeoutError):
            if topic not in admin.list_topics(timeout=5).topics:
                return True
            for future in admin.delete_topics([topic]).values():
                future.result(10)
        return False

    wait_until(deleted, seconds=_RETRY_SECONDS, what=f"{topic} is deleted")
