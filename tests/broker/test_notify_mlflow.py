"""Alerts and actions in a real MLflow: firing, over, twice, and after an outage."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from support.audited import audited
from support.delivery import Delivery, wait_committed
from support.mlflow_server import MlflowServer
from support.processes import wait_until
from tidegauge.contract import encode
from tidegauge.contract.audit import AuditRecord
from tidegauge.notify.channel import Refused
from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import ReceiverFile

pytestmark = pytest.mark.timeout(300)

OURS = "# Credit\n\nTrained by **us**; ask before you replace it.\n"
INCOME = "tidegauge.alert.drift.income"
STATE = "tidegauge.state"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One server for all: each test has a model of its own."""
    one = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    one.start()
    yield one
    one.stop()


def to(mlflow: MlflowServer, **options: Any) -> dict[str, Any]:
    return {"name": "registry", "type": "mlflow", "tracking_uri": mlflow.url, **options}


def deliver(mlflow: MlflowServer, *records: AuditRecord, **options: Any) -> None:
    """Deliver as a courier does, without one."""
    file = ReceiverFile.model_validate({"receivers": [to(mlflow, **options)]})
    channel = channel_to(file.receivers[0])
    for record in records:
        channel.deliver(channel.read(encode(record)))


def entries(description: str) -> list[str]:
    """Return what happened, newest first."""
    lines = (line for line in description.splitlines() if line.startswith("| 20"))
    return [line.split(" | &ensp;")[1] for line in lines]


def test_alerts_and_actions_are_on_the_version_each_once(
    delivery: Delivery, mlflow: MlflowServer
) -> None:
    mlflow.register("credit", versions=2, description=OURS)
    about: Any = {"model": "credit", "version": "2"}
    delivery.delivery_worker(to(mlflow))
    firing = audited("alert.firing", seq=2, subject="a1", severity="high", **about)
    asked = audited("action.requested", seq=3, subject="b1", dry_run="true", **about)
    delivery.send_audit(audited("alert.pending", seq=1, **about), firing, asked)
    wait_committed(delivery, "registry", 3, topic=delivery.settings.topics.audit)
    description, tags = mlflow.version("credit", 2)
    assert description.startswith(OURS)
    assert entries(description) == ["retrain **requested**, dry run", "**firing**, high"]
    assert set(tags) == {INCOME, STATE, "tidegauge.action.retrain"}
    assert tags[STATE] == "high"
    assert tags[INCOME].startswith("state=firing severity=high since=2026-03-01T12:00:00Z ")
    # The same once more, as after a crash; and then the end of it.
    delivery.send_audit(firing, asked)
    wait_committed(delivery, "registry", 5, topic=delivery.settings.topics.audit)
    assert mlflow.version("credit", 2) == (description, tags)
    over = audited("alert.resolved", seq=4, time=600, subject="a2", severity="high", **about)
    delivery.send_audit(over, audited("action.taken", seq=5, time=700, subject="b1", **about))
    wait_committed(delivery, "registry", 7, topic=delivery.settings.topics.audit)
    description, tags = mlflow.version("credit", 2)
    assert description.startswith(OURS)
    assert entries(description)[:2] == ["retrain **taken** by user:ana", "**resolved**, high"]
    assert tags[STATE] == "ok" and tags[INCOME].startswith("state=resolved ")
    assert tags["tidegauge.action.retrain"].startswith("state=taken ")
    assert mlflow.version("credit", 1) == (OURS, {})
    assert delivery.letters() == []


def test_an_outage_is_waited_for_and_an_unknown_model_is_a_dead_letter(
    delivery: Delivery, mlflow: MlflowServer
) -> None:
    mlflow.register("outage")
    delivery.delivery_worker(to(mlflow, timeout_seconds=2))
    mlflow.hang()
    try:
        unknown = audited("alert.firing", seq=1, model="nobody", version="7")
        known = audited("alert.firing", seq=1, model="outage", version="1")
        delivery.send_audit(unknown, known)
        wait_until(
            lambda: delivery.condition("registry")["state"] == "degraded",
            seconds=20,
            what="degraded",
        )
        assert delivery.metric("tidegauge_notify_receiver_up", receiver="registry") == 0
    finally:
        mlflow.go_on()
    wait_committed(delivery, "registry", 2, topic=delivery.settings.topics.audit)
    assert entries(mlflow.version("outage")[0]) == ["**firing**, medium"]
    (letter,) = delivery.letters()
    assert (letter.receiver, letter.reason) == ("registry", "delivery_refused")
    assert letter.topic == delivery.settings.topics.audit and letter.offset == 0
    assert "registered model 'nobody', version or alias '7': HTTP 404" in letter.detail


def test_a_version_is_found_by_its_alias_or_by_a_tag(mlflow: MlflowServer) -> None:
    mlflow.register("found", versions=3)
    mlflow.call("POST", "registered-models/alias", name="found", alias="champion", version="2")
    for number, value in ((1, "2026.1"), (2, "2026.2"), (3, "it's")):
        mlflow.call(
            "POST",
            "model-versions/set-tag",
            name="found",
            version=str(number),
            key="release no",
            value=value,
        )
    seq = itertools.count(1)

    def fire(version: str, **options: Any) -> int:
        """Return the number of the version that an alert went to."""
        record = audited("alert.firing", seq=next(seq), model="found", version=version)
        deliver(mlflow, record, **options)
        (number,) = (n for n in (1, 2, 3) if f"#{record.seq} " in mlflow.version("found", n)[0])
        return number

    assert fire("3") == 3
    assert fire("champion") == 2
    assert fire("2026.1", version_tag="release no") == 1
    assert fire("it's", version_tag="release no") == 3
    with pytest.raises(Refused, match="version or alias 'loser': HTTP 4"):
        fire("loser")
    with pytest.raises(Refused, match=r"'2026\.9': found no versions, expected one"):
        fire("2026.9", version_tag="release no")
    mlflow.call(
        "POST",
        "model-versions/set-tag",
        name="found",
        version="2",
        key="release no",
        value="2026.1",
    )
    with pytest.raises(Refused, match="found several versions, expected one"):
        fire("2026.1", version_tag="release no")


def test_every_name_makes_a_tag_that_mlflow_takes(mlflow: MlflowServer) -> None:
    mlflow.register("names")
    signals = ["a/b", "../c", "d:e", "größe", "f g", ".", "..", "x" * 300, "h`'\"%", "-"]
    records = [
        audited("alert.firing", seq=n, model="names", version="1", signal=signal, segment=segment)
        for n, (signal, segment) in enumerate(itertools.product(signals, ["", "region=EU"]), 1)
    ]
    deliver(mlflow, *records)
    _, tags = mlflow.version("names")
    assert len([key for key in tags if key != STATE]) == len(records)


def test_the_description_takes_a_long_history(mlflow: MlflowServer) -> None:
    mlflow.register("long", description=OURS)
    reason = "größer <b>als</b> | `sonst`, " * 8
    records = [
        audited("alert.firing", seq=n, time=60 * n, model="long", version="1", reason=reason)
        for n in range(1, 31)
    ]
    deliver(mlflow, *records, entries=100)
    description, _ = mlflow.version("long")
    assert description.startswith(OURS) and len(description) <= 5000
    assert 5 < len(entries(description)) < 30
