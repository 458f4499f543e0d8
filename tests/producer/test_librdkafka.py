from typing import Any

import pytest

from tidegauge import PredictionLogger


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bootstrap_servers": ""}, "bootstrap_servers is empty"),
        ({"topic": ""}, "topic is empty"),
        ({"max_queued": 0}, "max_queued is 0, expected at least 1"),
        ({"config": {"linger.msec": 5}}, 'refuses the configuration: .*"linger.msec"'),
        ({"config": {"acks": "most"}}, "refuses the configuration"),
        ({"config": {"on_delivery": print}}, "config may not set 'on_delivery'"),
        ({"config": {"transactional.id": "x"}}, "config may not set 'transactional.id'"),
    ],
)
def test_a_wrong_configuration_is_refused_where_the_process_starts(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PredictionLogger(**{"bootstrap_servers": "127.0.0.1:1", **arguments})


def test_librdkafka_properties_can_be_overridden(mock_cluster: str, topic: str) -> None:
    config = {"compression.type": "zstd", "linger.ms": 0, "message.max.bytes": 1000}
    with PredictionLogger(
        mock_cluster, topic=topic, model="credit", version="3", config=config
    ) as logger:
        logger.log(features={"note": "x" * 2000})
        logger.log(features={"note": "x"})
        assert logger.flush() == 0
        assert logger.stats.dropped["too_large"] == 1
        assert logger.stats.delivered == 1
