"""How far consumer groups are, asked from outside."""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition


class GroupLag:
    """Asks a broker, by a client for each group that never joins it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._clients: dict[str, Consumer] = {}

    def left(self, group: str, topic: str, partitions: int = 1) -> int:
        """Return how many records a group has yet to commit; more if it has committed none."""
        client = self._client(group)
        at = [TopicPartition(topic, partition) for partition in range(partitions)]
        try:
            committed = client.committed(at, timeout=20)
        except KafkaException:  # the topic of offsets is made only now, for the first group
            return 1
        # Who has committed nothing has a negative offset, and isn't done with an empty topic.
        return sum(client.get_watermark_offsets(it, timeout=20)[1] - it.offset for it in committed)

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the end of each partition; a consumer that is done commits no less."""
        client = self._client("ends")
        at = [TopicPartition(topic, partition) for partition in range(partitions)]
        return [client.get_watermark_offsets(it, timeout=20)[1] for it in at]

    def reached(self, group: str, topic: str, offsets: Sequence[int]) -> bool:
        """Whether a group has committed each partition up to an offset or further."""
        at = [TopicPartition(topic, partition) for partition in range(len(offsets))]
        try:
            committed = self._client(group).committed(at, timeout=20)
        except KafkaException:
            return False
        return all(it.offset >= offset for it, offset in zip(committed, offsets, strict=True))

    def _client(self, group: str) -> Consumer:
        client = self._clients.get(group)
        if client is None:  # it never joins
            options = {"bootstrap.servers": self._bootstrap_servers, "group.id": group}
            client = self._clients[group] = Consumer(options)
        return client

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
