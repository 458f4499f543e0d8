"""Every kind of wrong output there is, made of right ones, and what the oracle must say of it."""

import copy
from collections.abc import Callable
from typing import Any

from chaos.judge.made_outputs import FIRST, SECONDS, START, World
from chaos.judge.recount import baseline_id

Spoil = Callable[[World], None]


def signal_of(world: World, model: str, number: int, name: str, part: int = 0) -> Any:
    return world.report(model, number)["parts"][part]["signals"][name]["histogram"]


def drop(kind: str, number: int = 0) -> Spoil:
    def spoil(world: World) -> None:
        del world.outputs[kind][number]

    return spoil


def again(kind: str, number: int = 0, /, **changes: Any) -> Spoil:
    """Send a record again, with other contents if there are changes."""

    def spoil(world: World) -> None:
        world.outputs[kind].append(world.outputs[kind][number] | changes)

    return spoil


def change(kind: str, number: int = 0, /, **changes: Any) -> Spoil:
    def spoil(world: World) -> None:
        world.outputs[kind][number] |= changes

    return spoil


def lose_an_event(world: World) -> None:
    report = world.report("m2", 1)
    report["events"] -= 1
    report["parts"][0]["events"] -= 1


def count_an_event_twice(world: World) -> None:
    report = world.report("m2", 1)
    report["events"] += 1
    report["parts"][0]["events"] += 1


def stop_short(world: World) -> None:
    """Say that less was covered than was counted."""
    for counted in world.report("m2", 1)["counted"]:
        counted["to"] -= 5


def begin_late(world: World) -> None:
    for counted in world.report("m1", 2)["counted"]:
        counted["start"] = 1_250


def leave_out_a_partition(world: World) -> None:
    """Leave a partition out of the last report, consistently but for the source."""
    report = world.report("m3", 1)
    report["counted"] = [{"topic": "predictions", "partition": 9, "start": 0, "to": 9}]
    report["events"] = report["parts"][0]["events"] = 0
    for signal in report["parts"][0]["signals"].values():
        signal["histogram"] = {"counts": [0] * len(signal["histogram"]["counts"])}


def overlap(world: World) -> None:
    counted = world.report("m1", 0)["counted"]
    counted.append(dict(counted[0], start=3))


def count_in_two_topics(world: World) -> None:
    world.report("m1", 0)["counted"][0]["topic"] = "others"


def move_a_value(world: World) -> None:
    counts = signal_of(world, "m1", 0, "x")["counts"]
    counts[0], counts[1] = counts[0] - 1, counts[1] + 1


def move_a_category(world: World) -> None:
    counts = signal_of(world, "m1", 2, "colour")["counts"]
    counts[-1], counts[-2] = counts[-1] - 1, counts[-2] + 1


def move_a_latency(world: World) -> None:
    counts = signal_of(world, "m2", 0, "latency_ms")["counts"]
    top = counts.index(max(counts))
    counts[top], counts[0] = counts[top] - 1, counts[0] + 1


def call_absent_null(world: World) -> None:
    histogram = signal_of(world, "m1", 2, "prediction")
    assert histogram["absent"] == 1
    histogram["absent"], histogram["null"] = 0, 1


def change_a_sum(world: World) -> None:
    signal_of(world, "m1", 0, "prediction")["sum"] += 1e-5


def change_an_extreme(world: World) -> None:
    signal_of(world, "m1", 0, "x")["maximum"] += 1


def forget_errors(world: World) -> None:
    assert world.report("m1", 0)["errors"]
    world.report("m1", 0)["errors"] = 0


def forget_a_signal(world: World) -> None:
    del world.report("m1", 0)["parts"][0]["signals"]["colour"]


def name_another_baseline(world: World) -> None:
    world.report("m1", 0)["parts"][0]["baseline"] = "c0ffee"


def use_a_baseline_of_another_model(world: World) -> None:
    world.report("m2", 3)["parts"][0]["baseline"] = baseline_id(FIRST)


def lose_an_event_of_a_part(world: World) -> None:
    world.report("m1", 3)["parts"][0]["events"] -= 1


def move_an_event_between_parts(world: World) -> None:
    """Keep the total, but not what the signals say."""
    first, second = world.report("m1", 3)["parts"]
    first["events"] -= 1
    second["events"] += 1


def fill_a_bin_beyond_the_window(world: World) -> None:
    counts = signal_of(world, "m1", 3, "x")["counts"]
    counts[:] = [sum(counts), 0, 0, 0]


def change_the_sum_of_a_part(world: World) -> None:
    signal_of(world, "m1", 3, "prediction", part=1)["sum"] += 1e-4


def lose_a_category_of_a_part(world: World) -> None:
    """Keep what the part says of its events, but call a value null that was red."""
    histogram = signal_of(world, "m1", 3, "colour")
    histogram["counts"][0] -= 1
    histogram["null"] += 1


def change_a_sum_of_a_part(world: World) -> None:
    signal_of(world, "m1", 3, "x", part=1)["sum"] += 1e-4


def change_the_latency_of_a_part(world: World) -> None:
    counts = signal_of(world, "m1", 3, "latency_ms")["counts"]
    top = counts.index(max(counts))
    counts[top], counts[top + 1] = counts[top] - 1, counts[top + 1] + 1


def name_one_baseline_twice(world: World) -> None:
    first, second = world.report("m1", 3)["parts"]
    second["baseline"] = first["baseline"]


def report_no_such_window(world: World) -> None:
    report = copy.deepcopy(world.report("m2", 3))
    world.outputs["windows"].append(
        report | {"id": "new", "window_start": START + 50, "window_end": START + 55}
    )


def report_another_model(world: World) -> None:
    report = copy.deepcopy(world.report("m2", 3))
    world.outputs["windows"].append(report | {"id": "new", "model": "m9"})


def skip_a_revision(world: World) -> None:
    world.report("m2", 0, revision=1)["revision"] = 2


def swap_first_reports(world: World) -> None:
    windows = world.outputs["windows"]
    i, j = (windows.index(world.report("m1", number)) for number in (0, 1))
    windows[i], windows[j] = windows[j], windows[i]


def never_bin(world: World) -> None:
    for number in range(4):
        report = world.report("m1", number)
        first, *more = report["parts"]
        for part in more:
            first["events"] += part["events"]
        report["parts"] = [first | {"baseline": ""}]


def raise_another_alert(world: World) -> None:
    alert = world.alert("drift", "firing")
    world.outputs["alerts_history"].append(alert | {"id": "new", "signal": "colour"})
    world.outputs["audit_facts"].append({"id": "a", "event": "alert.firing", "subject": "new"})


def judge_no_window_that_opened_late(world: World) -> None:
    alerts = world.outputs["alerts_history"]
    alerts[:] = [alert for alert in alerts if not alert["revised"]]


def call_a_late_window_on_time(world: World) -> None:
    for alert in world.outputs["alerts_history"]:
        alert["revised"] = False


def judge_a_revision_against_the_rules(world: World) -> None:
    alert = world.alert("latency-rollback", "firing")
    world.outputs["alerts_history"].append(
        alert | {"id": "new", "window_start": START, "starts_at": START, "revised": True,
                 "report": world.report("m2", 0, 1)["id"]}
    )  # fmt: skip


def resolve_late(world: World) -> None:
    world.alert("drift", "resolved")["window_start"] += SECONDS


def change_a_value(world: World) -> None:
    world.alert("latency-rollback", "firing")["value"] += 0.01


def change_count_vectors(world: World) -> None:
    world.alert("drift", "firing")["distribution"]["current"][0] += 100


def lose_count_vectors(world: World) -> None:
    world.alert("drift", "firing")["distribution"] = None


def name_another_report(world: World) -> None:
    world.alert("drift", "firing")["report"] = world.report("m1", 0)["id"]


def act_twice(world: World) -> None:
    world.outputs["actions"].append(world.outputs["actions"][0] | {"id": "new"})
    world.outputs["audit_facts"].append({"id": "a", "event": "action.requested", "subject": "new"})


def act_for_a_resolved_alert(world: World) -> None:
    world.outputs["actions"][0]["alert"] = world.alert("drift-retrain", "resolved")["id"]


def go_back_from_what_was_never_faster(world: World) -> None:
    [alert] = [
        it for it in world.outputs["alerts_history"]
        if it["revised"] and it["rule"] == "latency-rollback"
    ]  # fmt: skip
    name = {key: alert[key] for key in ("rule", "model", "version", "variant")}
    action = {"id": "new", "kind": "rollback", "alert": alert["id"], **name}
    world.outputs["actions"].append(action)
    alert["actions"] = ["new"]


def withhold_what_was_to_be_asked_for(world: World) -> None:
    alert = world.alert("latency-rollback", "firing")
    fact = {"id": "a", "event": "action.withheld", "subject": "b", "inputs": {"alert": alert["id"]}}
    world.outputs["audit_facts"].append(fact)


def name_no_action(world: World) -> None:
    world.alert("latency-rollback", "firing")["actions"] = []


def ask_without_a_rule(world: World) -> None:
    world.alert("drift", "firing")["actions"] = ["retrain"]


def audit_another_event(world: World) -> None:
    world.outputs["audit_facts"][0]["event"] = "alert.resolved"


def bury_a_sound_record(world: World) -> None:
    partition, offset, _ = world.events[0]
    letter = world.outputs["dead_letters"][0]
    world.outputs["dead_letters"].append(letter | {"partition": partition, "offset": offset})


WRONG_OUTPUTS: list[tuple[Spoil, str, str]] = [
    (drop("windows", 3), "LOST", "m2/1/canary 1750000005 was never reported"),
    (drop("windows", -1), "LOST", "m3/1 1750000000 was never reported: 59 in partition 0 at"),
    (lose_an_event, "LOST", "revision 0 counts 119 of 120 events in its ranges"),
    (count_an_event_twice, "DUPLICATED", "revision 0 counts 121, not 120 events in its ranges"),
    (stop_short, "LOST", "m2/1/canary 1750000005 revision 0, the last, left out"),
    (stop_short, "DUPLICATED", "counts 120, not"),
    (begin_late, "LOST", "m1/1 1750000010 revision 0, the last, left out"),
    (leave_out_a_partition, "LOST", "m3/1 1750000005 revision 0, the last, left out 1 in"),
    (overlap, "WRONG", "the ranges counted overlap"),
    (count_in_two_topics, "WRONG", "counted in several topics"),
    (move_a_value, "WRONG", "x: counts"),
    (move_a_category, "WRONG", "colour: counts"),
    (move_a_latency, "WRONG", "latency_ms: counts"),
    (call_absent_null, "WRONG", "prediction: absent 0 instead of 1; null 1 instead of 0"),
    (change_a_sum, "WRONG", "prediction: sum"),
    (change_an_extreme, "WRONG", "x: maximum"),
    (forget_errors, "WRONG", "errors 0 instead of"),
    (forget_a_signal, "WRONG", "instead of ['colour', 'latency_ms', 'prediction', 'status', 'x']"),
    (name_another_baseline, "WRONG", "no baseline c0ffee was ever promoted for its model"),
    (use_a_baseline_of_another_model, "WRONG", "was ever promoted for its model"),
    (lose_an_event_of_a_part, "WRONG", "parts add up to 1049 events instead of 1050"),
    (move_an_event_between_parts, "WRONG", "events of its part"),
    (fill_a_bin_beyond_the_window, "WRONG", "in a part of a window of"),
    (change_the_sum_of_a_part, "WRONG", "prediction over all parts: sum"),
    (change_a_sum_of_a_part, "WRONG", "x over all parts: sum"),
    (lose_a_category_of_a_part, "WRONG", "colour over all parts: counts"),
    (change_the_latency_of_a_part, "WRONG", "latency_ms over all parts: counts"),
    (name_one_baseline_twice, "WRONG", "two parts have the same baseline"),
    (change("windows", 0, events=3), "WRONG", "parts add up to 1050 events instead of 3"),
    (change("windows", 0, segment={"a": "b"}), "WRONG", "segment {'a': 'b'}"),
    (change("windows", 0, window_end=START + 6), "WRONG", f"end {START + 6}"),
    (change("windows", 0, parts="none"), "WRONG", "report at partition 0 offset 0 can't be read"),
    (report_no_such_window, "WRONG", "there is no event of this window in the source"),
    (report_another_model, "WRONG", "m9/1/canary 1750000015 revision 0: there is no event"),
    (again("windows", closed_by=3.5), "WRONG", "was sent again with a different closed_by"),
    (again("windows", events=1), "LOST", "revision 0 counts 1 of 1050 events in its ranges"),
    (again("windows", id="new"), "DUPLICATED", "m1/1 1750000000 revision 0 under two ids"),
    (skip_a_revision, "LOST", "has revision 2 but none of [1]"),
    (swap_first_reports, "WRONG", "closed after 1750000005, which had already counted past"),
    (never_bin, "WRONG", "no window of the model was binned by a baseline"),
    (drop("alerts_history", 0), "LOST", "firing drift of x in m1/1 1750000005, since 17500000"),
    (drop("alerts_history", -1), "LOST", "resolved latency-rollback in m2/1/canary 1750000010"),
    (raise_another_alert, "WRONG", "firing drift of colour in m1/1 1750000005, since 1750000005"),
    (judge_no_window_that_opened_late, "LOST", "in m3/1 1750000000 (with late events), since"),
    (call_a_late_window_on_time, "LOST", "in m3/1 1750000000 (with late events), since"),
    (call_a_late_window_on_time, "WRONG", "firing latency-rollback in m3/1 1750000000, since"),
    (judge_a_revision_against_the_rules, "WRONG", "1750000000 (with late events), since"),
    (resolve_late, "LOST", "resolved drift of x in m1/1 1750000010, since 1750000005 was not"),
    (resolve_late, "WRONG", "resolved drift of x in m1/1 1750000015, since 1750000005 was raised"),
    (change("alerts_history", 0, starts_at=START), "LOST", "firing drift of x in m1/1 1750000005"),
    (again("alerts_history", summary="!"), "WRONG", "was sent again with a different summary"),
    (again("alerts_history", id="new"), "DUPLICATED", "firing drift of x in m1/1 1750000005"),
    (change_a_value, "WRONG", "firing latency-rollback in m2/1/canary 1750000005, since"),
    (change("alerts_history", 0, events=3), "WRONG", "of 3 events instead of Figure"),
    (change_count_vectors, "WRONG", "its count vectors give another value"),
    (lose_count_vectors, "WRONG", "has no count vectors"),
    (name_another_report, "WRONG", "names report m1  1750000000 0"),
    (drop("actions"), "LOST", "has no retrain"),
    (drop("actions", 1), "LOST", "has no rollback"),
    (act_twice, "DUPLICATED", "has 2 actions"),
    (act_for_a_resolved_alert, "WRONG", "does not follow from resolved drift-retrain"),
    (change("actions", kind="rollback"), "WRONG", "does not follow from firing drift-retrain"),
    (change("actions", alert="none"), "WRONG", "is for no alert there is"),
    (again("actions", data={}), "WRONG", "was sent again with a different data"),
    (go_back_from_what_was_never_faster, "WRONG", "asks for ['new'], never faster"),
    (withhold_what_was_to_be_asked_for, "WRONG", "action.withheld of b: it was not to be withheld"),
    (name_no_action, "WRONG", "names actions [] instead of ['rollback for"),
    (ask_without_a_rule, "WRONG", "names actions ['retrain']"),
    (drop("audit_facts"), "LOST", "has no audit record"),
    (drop("audit_facts", -4), "LOST", "alert.resolved of drift-retrain m1 x resolved has no audit"),
    (change("audit_facts", subject="none"), "WRONG", "of none: there is no such thing"),
    (audit_another_event, "WRONG", "the event is another"),
    (again("audit_facts", time=1), "WRONG", "was sent again with a different time"),
    (again("audit_facts", id="new"), "DUPLICATED", "under two ids"),
    (drop("dead_letters", 1), "LOST", "(empty) was never sent"),
    (again("dead_letters"), "DUPLICATED", "was sent again"),
    (bury_a_sound_record, "WRONG", "(invalid_json): there is no bad record"),
    (change("dead_letters", reason="empty"), "WRONG", "reason empty instead of invalid_json"),
    (change("dead_letters", row=0), "WRONG", "row 0 of what is no batch"),
    (change("dead_letters", payload_bytes=9), "WRONG", "9 bytes instead of 8"),
    (change("dead_letters", payload="other"), "WRONG", "payload is not that of the record"),
    (change("dead_letters", 2, payload="//4=="), "WRONG", "its payload can't be read"),
    (change("dead_letters", partition=None), "WRONG", "a dead letter can't be read"),
]  # fmt: skip
