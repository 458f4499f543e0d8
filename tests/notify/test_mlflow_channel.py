"""What is asked of a registry, and what its answers mean; the registry is in tests/broker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.audited import audited
from support.http_sink import Answer, HttpSink
from support.processes import free_port
from tidegauge.contract import encode
from tidegauge.contract.audit import AuditRecord
from tidegauge.notify.channel import Refused, RetryLater
from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import MlflowReceiver
from tidegauge.notify.mlflow import MlflowChannel


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    one = HttpSink()
    yield one
    one.stop()


def channel(url: str = "http://127.0.0.1:1/mlflow/", **options: Any) -> MlflowChannel:
    given = {"name": "registry", "type": "mlflow", "tracking_uri": url, **options}
    made = channel_to(MlflowReceiver.model_validate(given))
    assert isinstance(made, MlflowChannel)
    return made


def there(**changes: Any) -> Answer:
    """Answer with a version as MLflow does."""
    version = {"name": "credit", "version": "3", "description": "", "tags": [], **changes}
    return Answer(body=json.dumps({"model_version": version}).encode())


def answering(sink: HttpSink, *answers: Answer) -> str:
    sink.answer_next(*answers)
    return sink.url + "/mlflow/"


RECORD = audited("alert.firing", seq=1)


def test_it_asks_for_the_version_and_writes_tags_and_then_the_description(sink: HttpSink) -> None:
    channel(answering(sink, there())).deliver(RECORD)
    api = "/mlflow/api/2.0/mlflow/model-versions"
    assert [(one.method, one.path) for one in sink.requests] == [
        ("GET", f"{api}/get?name=credit&version=3"),
        ("POST", f"{api}/set-tag"),
        ("POST", f"{api}/set-tag"),
        ("PATCH", f"{api}/update"),
    ]
    bodies = [json.loads(one.body) for one in sink.requests[1:]]
    assert all((one["name"], one["version"]) == ("credit", "3") for one in bodies)
    assert [one.get("key") for one in bodies] == [
        "tidegauge.alert.drift.income",
        "tidegauge.state",
        None,
    ]
    assert "income has drifted" in bodies[2]["description"]


def test_what_is_there_already_is_not_written_again(sink: HttpSink) -> None:
    channel(answering(sink, there())).deliver(RECORD)
    bodies = [json.loads(one.body) for one in sink.requests[1:]]
    tags = [{"key": one["key"], "value": one["value"]} for one in bodies[:2]]
    sink.requests.clear()
    sink.answer_next(there(tags=tags, description=bodies[2]["description"]))
    channel(sink.url + "/mlflow").deliver(RECORD)
    assert [one.method for one in sink.requests] == ["GET"]


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ({}, None),
        ({"authorization": "TOKEN"}, "Bearer xyz"),
        ({"username": "ana", "password": "TOKEN"}, "Basic YW5hOkJlYXJlciB4eXo="),
    ],
)
def test_it_says_who_it_is(
    sink: HttpSink,
    monkeypatch: pytest.MonkeyPatch,
    secrets: dict[str, Any],
    expected: str | None,
) -> None:
    monkeypatch.setenv("TOKEN", "Bearer xyz")
    given = {k: {"env": v} if v == "TOKEN" else v for k, v in secrets.items()}
    channel(answering(sink, there()), **given).deliver(RECORD)
    assert {one.headers.get("Authorization") for one in sink.requests} == {expected}


@pytest.mark.parametrize(
    ("answer", "outcome", "why"),
    [
        (Answer(404, body=b'{"error_code":"RESOURCE_DOES_NOT_EXIST"}'), Refused, "DOES_NOT_EXIST"),
        (Answer(body=b"<html>log in</html>"), Refused, "not one of MLflow's REST API"),
        (Answer(body=b"{}"), Refused, "not one of MLflow's REST API"),
        (Answer(503), RetryLater, "HTTP 503"),
        (Answer(429, {"Retry-After": "3"}), RetryLater, "HTTP 429"),
    ],
)
def test_an_answer_that_is_no_version_is_refused_or_tried_again(
    sink: HttpSink, answer: Answer, outcome: type[Exception], why: str
) -> None:
    with pytest.raises(outcome, match=why) as caught:
        channel(answering(sink, answer)).deliver(RECORD)
    assert len(sink.requests) == 1
    if outcome is Refused:
        assert str(caught.value).startswith("registered model 'credit', version or alias '3': ")


def test_nobody_there_is_tried_again_and_the_path_is_not_told() -> None:
    with pytest.raises(RetryLater) as caught:
        channel(f"http://127.0.0.1:{free_port()}/hidden").deliver(RECORD)
    assert "127.0.0.1" in str(caught.value) and "hidden" not in str(caught.value)


def test_one_deadline_holds_for_all_requests_of_an_attempt(sink: HttpSink) -> None:
    url = answering(sink, there())
    sink.on_request = lambda request: sink.hang() if request.method != "GET" else None
    with pytest.raises(RetryLater, match="no answer within"):
        channel(url, timeout_seconds=0.3).deliver(RECORD)
    assert [one.method for one in sink.requests] == ["GET", "POST"]


@pytest.mark.parametrize("event", ["alert.pending", "alert.reminder", "baseline.promoted"])
def test_what_changes_nothing_for_a_model_is_passed_over(event: str) -> None:
    assert channel().read(encode(audited(event, seq=1))) is None


def test_an_audit_record_is_read_whole() -> None:
    assert channel().read(encode(RECORD)) == RECORD


RAISED = audited("alert.raised", seq=4, severity="high", severities_before="medium")


@pytest.mark.parametrize(
    ("match", "record", "wanted"),
    [
        ({}, RECORD, True),
        ({"models": ["fraud*"]}, RECORD, False),
        ({"rules": ["drift*"]}, RECORD, True),
        ({"rules": ["latency"]}, RECORD, False),
        ({"severities": ["high", "critical"]}, RECORD, False),
        ({"severities": ["medium"]}, RECORD, True),
        ({"severities": ["high"]}, audited("action.requested", seq=2), False),
        ({"severities": ["medium"]}, RAISED, True),
        ({"severities": ["low"]}, RAISED, False),
        # Whoever took an action says nothing of the rule or of how bad it was.
        ({"severities": ["high"], "rules": ["x"]}, audited("action.taken", seq=3), True),
        ({"models": ["fraud"]}, audited("action.taken", seq=3), False),
    ],
)
def test_it_wants_what_fits(match: dict[str, Any], record: AuditRecord, wanted: bool) -> None:
    assert channel(match=match).wants(record) is wanted


def test_a_name_in_the_registry_may_differ(sink: HttpSink) -> None:
    url = answering(sink, there(name="prod.credit"))
    channel(url, model_name="prod.{model}").deliver(RECORD)
    assert sink.requests[0].path.endswith("/get?name=prod.credit&version=3")
    assert json.loads(sink.requests[1].body)["name"] == "prod.credit"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tracking_uri": "sqlite:///mlflow.db"}, "expected an address such as https"),
        ({"model_name": "credit"}, r"expected a name with \{model\} in it"),
        ({"model_name": "{model}.{version}"}, r"expected a name with \{model\} in it"),
        ({"model_name": "{model"}, r"expected a name with \{model\} in it"),
        ({"username": "ana"}, "'username' and 'password' go together"),
        ({"version_tag": "a`b"}, "which MLflow can't search for"),
        ({"entries": 0}, "greater than or equal to 1"),
    ],
)
def test_a_receiver_that_can_not_work_is_refused(options: dict[str, Any], why: str) -> None:
    given = {"name": "r", "type": "mlflow", "tracking_uri": "https://mlflow", **options}
    with pytest.raises(ValueError, match=why):
        MlflowReceiver.model_validate(given)
