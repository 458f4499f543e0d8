"""``tidegauge baseline`` on files and a real Redis."""

import json
import os
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner, Result

from support.processes import free_port
from support.terminal import on_a_terminal
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.cli.baseline import app

ROWS = "id,amount,region,score\n" + "".join(
    f"r{i},{i % 50}.5,{'eu' if i % 3 else 'us'},0.{i % 10}\n" for i in range(200)
)


@pytest.fixture(autouse=True)
def _settings(empty_redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", empty_redis_url)
    # Nobody is there: a promotion must not depend on it.
    monkeypatch.setenv("TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "rows.csv").write_text(ROWS)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def create(*arguments: str, version: str = "1") -> Result:
    return run(
        *("create", "--model", "credit", "--version", version, "--from", "rows.csv"), *arguments
    )


def created(*arguments: str, version: str = "1") -> str:
    result = create("--prediction", "score", "--exclude", "id", *arguments, version=version)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def refused(result: Result, code: int = 2) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("tidegauge: ")
    return lines[0]


def test_create_prints_the_id_alone_on_stdout_and_the_rest_on_stderr(
    empty_redis_url: str,
) -> None:
    result = create("--prediction", "score", "--exclude", "id")
    assert result.exit_code == 0
    id = result.stdout.strip()
    assert len(id) == 64
    assert "200 rows; 2 numeric and 1 categorical signals: " in result.stderr
    store = BaselineStore(empty_redis_url)
    assert set(store.get(id).signals) == {"amount", "region", "prediction"}
    assert store.promoted() == {}
    store.close()


def test_create_can_promote_at_once(empty_redis_url: str) -> None:
    id = created("--promote")
    store = BaselineStore(empty_redis_url)
    assert store.promoted()["credit", "1"].id == id
    store.close()


def test_types_can_be_overridden() -> None:
    id = created("--type", "amount=categorical")
    shown = json.loads(run("show", id, "--json").stdout)
    assert shown["signals"]["amount"]["kind"] == "categorical"


def test_importances_are_stored_with_the_baseline_and_shown() -> None:
    Path("weights.json").write_text('{"region": 3, "amount": 0.5}')
    id = created("--importance", "weights.json")
    assert id != created()
    shown = json.loads(run("show", id, "--json").stdout)
    assert shown["importances"] == {"amount": 0.5, "region": 3.0}
    assert "importance 3" in run("show", id).stdout


def test_importances_of_what_is_no_feature_are_refused_and_nothing_is_stored() -> None:
    Path("weights.csv").write_text("feature,importance\namount,0.5\nscore,1\n")
    arguments = ("--prediction", "score", "--exclude", "id", "--importance", "weights.csv")
    said = create(*arguments)
    assert said.exit_code == 2 and said.stdout == ""
    assert (
        "weights.csv:3: 'score' is no feature of the baseline; it has 'amount', 'region'"
        in said.stderr
    )
    assert json.loads(run("list", "--json").stdout) == []


def test_a_column_like_an_id_is_warned_about() -> None:
    result = create()
    assert result.exit_code == 0
    assert "warning: column 'id' has a different value in every row" in result.stderr


def test_a_file_that_misses_the_prediction_column_is_answered_with_those_it_has() -> None:
    message = refused(create("--prediction", "probability"))
    assert "rows.csv has no column 'probability', which --prediction names" in message
    assert "it has 'id', 'amount', 'region', 'score'" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "absent.csv"), "absent.csv does not exist"),
        (("--exclude", "colour"), "no column 'colour', which --exclude names"),
        (
            ("--type", "amount"),
            "--type amount: expected COL=numeric, COL=categorical or COL=percent",
        ),
        (
            ("--type", "amount=date"),
            "--type amount=date: expected COL=numeric, COL=categorical or COL=percent",
        ),
        (("--type", "region=numeric"), "'region' is to be numeric, but 'us' in row 1 is no number"),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(create(*arguments))


def test_list_shows_what_is_stored_and_what_is_promoted() -> None:
    first, second = created("--promote"), created(version="2")
    rows = json.loads(run("list", "--json").stdout)
    assert [(r["id"], r["version"], r["promoted"]) for r in rows] == [
        (first, "1", True),
        (second, "2", False),
    ]
    assert rows[0]["rows"] == 200
    table = run("list").stdout
    assert first[:12] in table
    assert second[:12] in table
    assert "rows.csv" in table


def test_tables_of_baselines_cut_nothing_at_80_columns() -> None:
    id, redis = created(), {"TIDEGAUGE_REDIS__URL": os.environ["TIDEGAUGE_REDIS__URL"]}
    listed = on_a_terminal(80, "baseline", "list", environment=redis)
    shown = on_a_terminal(80, "baseline", "show", id[:8], environment=redis)
    for output in (listed, shown):
        assert "…" not in output and max(map(len, output.splitlines())) <= 80, output
    assert id[:12] in listed and "promoted" in listed and id in shown


def test_list_warns_of_a_damaged_document_and_shows_the_others(empty_redis_url: str) -> None:
    first, second = created(), created(version="2")
    with redis.Redis.from_url(empty_redis_url) as client:
        client.set(f"tidegauge:baseline:doc:{first}", b"?")
    result = run("list")
    assert result.exit_code == 0
    assert f"warning: baseline {first} is damaged" in result.stderr
    assert second[:12] in result.stdout
    assert "damaged" in refused(run("show", first))


def test_list_shows_what_is_stored_beside_what_is_no_id(empty_redis_url: str) -> None:
    id = created()
    with redis.Redis.from_url(empty_redis_url) as client:
        client.zadd("tidegauge:baselines", {b"\xff\xfe": float("inf")})
    result = run("list")
    assert result.exit_code == 0, result.stderr
    assert "there is no baseline" in result.stderr and id[:12] in result.stdout


def test_an_index_of_a_wrong_type_is_named(empty_redis_url: str) -> None:
    created()
    with redis.Redis.from_url(empty_redis_url) as client:
        client.delete("tidegauge:baselines")
        client.set("tidegauge:baselines", "x")
    for arguments in (("list",), ("show", "abc")):
        assert "tidegauge:baselines is of a wrong type; delete it" in refused(run(*arguments))


def test_a_damaged_pointer_hides_its_own_baseline_alone(empty_redis_url: str) -> None:
    id = created("--promote")
    with redis.Redis.from_url(empty_redis_url) as client:
        client.hset("tidegauge:baseline:promoted", '["fraud","1"]', b"{]")
    assert id in run("show", "--model", "credit", "--version", "1").stdout
    assert '["fraud","1"]' in refused(run("show", "--model", "fraud", "--version", "1"))


def test_show_has_the_bins_of_every_signal() -> None:
    id = created()
    shown = run("show", id[:10]).stdout
    assert id in shown
    assert "model credit, version 1: 200 rows of rows.csv" in shown
    for text in ("amount", "prediction", "region", "eu", "never seen", "66.50%", "\u2265 "):
        assert text in shown


def test_show_finds_the_promoted_one_of_a_model() -> None:
    id = created("--promote")
    assert id in run("show", "--model", "credit", "--version", "1").stdout
    message = refused(run("show", "--model", "credit", "--version", "9"))
    assert "no baseline is promoted for credit version 9" in message
    assert "there is one for: credit version 1" in message


def test_show_json_is_the_document() -> None:
    id = created()
    document = json.loads(run("show", id, "--json").stdout)
    assert (document["model"], document["rows"]) == ("credit", 200)


def test_show_needs_to_know_which() -> None:
    assert "give an ID, or both --model and --version" in refused(run("show"))
    assert "give an ID" in refused(run("show", "--model", "credit"))
    assert "no baseline has an id that begins with 'zz'" in refused(run("show", "zz"))


def test_promote_takes_model_and_version_from_the_document(empty_redis_url: str) -> None:
    first = created("--promote")
    second = created("--type", "amount=categorical")
    result = run("promote", second[:12])
    assert result.exit_code == 0
    assert f"baseline {second[:12]} is promoted for credit version 1" in result.stdout
    assert f"before: {first[:12]}" in result.stdout
    store = BaselineStore(empty_redis_url)
    assert store.promoted()["credit", "1"].id == second
    store.close()


def test_a_promotion_that_cant_be_audited_holds_and_is_warned_of(empty_redis_url: str) -> None:
    id = created()
    result = run("promote", id)
    assert result.exit_code == 0
    assert "promoted, but NOT in the audit trail" in result.stderr
    assert "promote it again" in result.stderr
    store = BaselineStore(empty_redis_url)
    assert store.promoted()["credit", "1"].id == id
    store.close()


def test_promote_refuses_another_model() -> None:
    id = created()
    message = refused(run("promote", id, "--model", "fraud"))
    assert "was made for model 'credit' version '1', not for 'fraud' version '1'" in message


@pytest.mark.parametrize("command", [("list",), ("show", "ab"), ("promote", "ab"), ("create",)])
def test_an_unreachable_redis_is_named_with_what_to_do(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", f"redis://:secret@127.0.0.1:{port}/0")
    message = refused(create() if command == ("create",) else run(*command), code=3)
    assert f"Redis at redis://127.0.0.1:{port}/0" in message
    assert "TIDEGAUGE_REDIS__URL" in message
    assert "secret" not in message


def test_wrong_settings_are_answered_in_one_line_without_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEGAUGE_REDIS__REFRESH_SECONDS", "s3cret")
    message = refused(run("list"))
    assert "redis.refresh_seconds" in message
    assert "s3cret" not in message
    monkeypatch.delenv("TIDEGAUGE_REDIS__REFRESH_SECONDS")
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", "http://redis:6379")
    assert "redis://HOST:PORT/DB" in refused(run("list"))


def _days(path: Path, days: int) -> None:
    rows = (
        f"2026-03-{1 + n // 300:02}T{n // 13 % 24:02}:00:00Z,{n % 7}" for n in range(days * 300)
    )
    path.write_text("\n".join(["at,amount", *rows]))


def test_create_by_hour_of_day_needs_the_column_of_the_times(tmp_path: Path) -> None:
    _days(tmp_path / "days.csv", 20)
    options = ("--model", "credit", "--version", "1", "--from", "days.csv", "--time", "at")
    result = run("create", *options)
    assert result.exit_code == 0, result.output
    shown = run("show", result.stdout.strip())
    assert (
        "by hour of the day (UTC, no time zone named) (no holidays named), of 20 days"
        in shown.stdout
    )
    assert "from 86,400 to 86,400 seconds" in shown.stdout
    document = json.loads(run("show", result.stdout.strip(), "--json").stdout)
    assert document["daily"]["days"] == 20
    assert list(document["signals"]) == ["amount"]


def test_too_few_days_are_warned_about_and_shown(tmp_path: Path) -> None:
    _days(tmp_path / "days.csv", 5)
    options = ("--model", "credit", "--version", "1", "--from", "days.csv", "--time", "at")
    result = run("create", *options)
    assert result.exit_code == 0, result.output
    assert "times of 5 days, and it takes 14" in result.stderr
    assert "no hours of the day" in run("show", result.stdout.strip()).stdout


def test_create_by_entity_says_how_far_its_rows_depend_on_each_other() -> None:
    rows = (f"u{n // 4},{n // 4 * 7919 % 1009}" for n in range(4_000))
    Path("users.csv").write_text("\n".join(["user,amount", *rows]))
    options = ("--model", "credit", "--version", "1", "--from", "users.csv")
    result = run("create", *options, "--entity", "user")
    assert result.exit_code == 0, result.output
    shown = run("show", result.stdout.strip()).stdout
    assert "rows depend on each other, by column user: design effect up to 4 (1 signal)" in shown
    assert "design effect 4" in shown
    result = run("create", *options, "--exclude", "user")
    assert "--entity names the column of the user" in result.stderr
    shown = run("show", result.stdout.strip()).stdout
    assert "rows depend on each other, by the order of the rows" in shown
    assert "rows taken for independent" in run("show", created()).stdout


def test_create_shows_each_column_within_80_columns_and_warns_with_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    Path("odd.csv").write_text(
        "code;income;a rather long name of a column, as some are;target\n"
        + "".join(f"{i % 9:02};{i},5;{'?' if i % 50 == 7 else i};{i % 2}\n" for i in range(200))
    )
    result = run("create", "--model", "m", "--version", "1", "--from", "odd.csv", "--json")
    told = json.loads(result.stdout)
    assert told["rows"] == 200 and len(told["id"]) == 64
    assert [(it["column"][:8], it["kind"]) for it in told["columns"]] == [
        ("code", "string"), ("income", "numeric"), ("a rather", "numeric"), ("target", "numeric"),
    ]  # fmt: skip
    assert told["columns"][2]["missing"] == 4
    result = run("create", "--model", "m", "--version", "1", "--from", "odd.csv")
    lines = result.stderr.splitlines()
    table = lines[: next(i for i, it in enumerate(lines) if "warning" in it)]
    assert max(map(len, table)) <= 80
    assert table[0].split() == ["column", "kind", "missing", "distinct", "examples"]
    assert "".join(table).count("…") == 0
    for option in ("--type code=numeric", "--exclude target", "--type 'a rather long name"):
        assert option in result.stderr
    assert "200 rows, and it takes 500 to tell drift from chance" in result.stderr


def test_types_and_columns_to_leave_out_come_from_a_file() -> None:
    Path("types.yaml").write_text("id: exclude\namount: categorical\nscore: numeric\n")
    result = create("--types", "types.yaml", "--drop", "score", "--type", "region=categorical")
    assert "'score'" not in result.output
    told = json.loads(create("--types", "types.yaml", "--drop", "score", "--json").stdout)
    assert {it["column"]: it["kind"] for it in told["columns"]} == {
        "id": "left out", "amount": "string", "region": "string", "score": "left out",
    }  # fmt: skip
    assert "decimal ;: expected . or ," in refused(create("--decimal", ";"))


JOINT_ROWS = "age,income,tenure,plan\n" + "".join(
    f"{(7 * i) % 101},{(7 * i) % 101 + (i % 13) / 5},{(11 * i) % 17},{'ab'[i % 2]}\n"
    for i in range(300)
)


def test_joint_signals_are_asked_for_by_number(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(JOINT_ROWS)
    result = create("--joint", "3", "--pairs", "1")
    assert result.exit_code == 0, result.output
    assert "3 numeric and 1 categorical signals: age, income, tenure, plan" in result.stderr
    line = "4 joint signals of 3 of the 3 numeric features: each counts in the alarm budget"
    assert line in result.stderr
    shown = run("show", result.stdout.strip())
    assert line in shown.stdout and "joint pair 1: +age -income" in shown.stdout
    document = json.loads(run("show", result.stdout.strip(), "--json").stdout)
    assert document["signals"]["joint pair 1: +age -income"]["sum_of"] == {
        "age": 1.0,
        "income": -1.0,
    }
    assert document["scales"].keys() == {"age", "income", "tenure"}


def test_an_importance_of_a_joint_signal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(JOINT_ROWS)
    (tmp_path / "importance.json").write_text('{"joint pair 1: +age -income": 1.0, "age": 2.0}')
    result = create("--pairs", "1", "--importance", "importance.json")
    assert result.exit_code == 2
    assert "joint pair 1" in result.stderr.splitlines()[-1]


def test_joint_signals_without_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "x,1\ny,1\n" * 100)
    message = refused(create("--joint", "8"))
    assert "--joint and --pairs take two numeric features or more" in message


def test_a_column_of_actuals_makes_a_target_and_figures_of_the_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "amount,score,paid\n"
        + "".join(f"{i},{i % 100 / 100},{'no' if i % 100 < 50 else 'yes'}\n" for i in range(400))
    )
    options = ("--prediction", "score", "--label", "paid", "--threshold", "0.6")
    assert "--positive, the class" in refused(create(*options))
    result = create(*options, "--positive", "yes")
    assert result.exit_code == 0, result.output
    assert (
        "labels: binary, 'yes' (not 'no') from a score of 0.6 on; 400 of 400 rows have one"
        in result.stderr
    )
    id = result.stdout.strip()
    shown = run("show", id).stdout
    assert "from a score of 0.6 on" in shown
    assert "outcomes of the baseline's own rows" in shown
    assert any(line.split()[:2] == ["accuracy", "0.9"] for line in shown.splitlines())
    document = json.loads(run("show", id, "--json").stdout)
    assert set(document["signals"]) == {"amount", "prediction"}
    assert document["outcomes"]["target"]["threshold"] == 0.6
    # Nothing of it without the option, and the id is another.
    plain = create("--prediction", "score", "--exclude", "paid").stdout.strip()
    assert plain != id
    assert "no labels: made without --label" in run("show", plain).stdout
    assert "needs --label" in refused(create("--prediction", "score", "--positive", "yes"))
    assert "expected binary" in refused(create("--label", "paid", "--problem", "ranking"))
