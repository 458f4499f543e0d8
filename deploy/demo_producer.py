"""A stream of predictions of a made-up model "credit", whose data drifts after a while.

    demo_producer.py --write-baseline FILE       write a sample of the undrifted data as CSV
    demo_producer.py --bootstrap-servers HOST:PORT [--rate 200] [--drift-after 180] …

The first makes the file for ``tidegauge baseline create``; the second never ends by itself. Every
second of drift is the same, so the dashboard shows a step: income falls, a job that the baseline
has never seen turns up, ages go missing, and with them the score moves. Later the latency rises.
"""

import argparse
import csv
import math
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

MODEL, VERSION = "credit", "1"
JOBS = ("employed", "self-employed", "student", "retired")
JOB_SHARES = (62, 17, 11, 10)
NORMAL_LATENCY_MS, SLOW_LATENCY_MS = 60.0, 320.0
#: Events are sent in bursts of this length; the rate is kept over seconds, not over bursts.
TICK_SECONDS = 0.05


class Prediction(NamedTuple):
    """One row: what the model saw, and its score between 0 and 1."""

    features: dict[str, float | str | None]
    score: float


def predict(rng: random.Random, *, drifted: bool) -> Prediction:
    """Draw an applicant, and score them with a fixed logistic model."""
    income = rng.lognormvariate(math.log(2_400 if drifted else 3_200), 0.45)
    age = min(90.0, max(18.0, rng.gauss(44, 14)))
    debt_ratio = rng.betavariate(2, 5)
    job = rng.choices(JOBS, JOB_SHARES)[0]
    if drifted and rng.random() < 0.08:
        job = "gig worker"
    logit = 1.2 - 0.9 * math.log(income / 3_200) * 2 + 3.0 * (debt_ratio - 0.5) - (age - 44) / 40
    return Prediction(
        {
            "income": round(income, 2),
            "age": None if drifted and rng.random() < 0.05 else round(age, 1),
            "debt_ratio": round(debt_ratio, 4),
            "job": job,
        },
        1 / (1 + math.exp(-logit)),
    )


def write_baseline(path: Path, rows: int) -> None:
    """Write ``rows`` undrifted predictions; a missing value is an empty field."""
    rng = random.Random(7)  # noqa: S311 - nothing secret
    with path.open("w", newline="", encoding="utf-8") as sink:
        table = csv.writer(sink)
        table.writerow([*predict(rng, drifted=False).features, "prediction"])
        for _ in range(rows):
            row = predict(rng, drifted=False)
            table.writerow([*row.features.values(), f"{row.score:.6f}"])


def stream(arguments: argparse.Namespace, stop: threading.Event) -> None:
    """Send predictions at the rate asked for until ``stop`` is set, then all that is queued."""
    from tidegauge import PredictionLogger

    rng = random.Random()  # noqa: S311 - nothing secret
    started = time.monotonic()
    sent = 0
    with PredictionLogger(arguments.bootstrap_servers, topic=arguments.topic) as log:
        while not stop.wait(TICK_SECONDS):
            running = time.monotonic() - started
            drifted = running >= arguments.drift_after
            usual = SLOW_LATENCY_MS if running >= arguments.slow_after else NORMAL_LATENCY_MS
            while sent < running * arguments.rate:
                row = predict(rng, drifted=drifted)
                log.log(
                    model=MODEL,
                    version=VERSION,
                    features=row.features,
                    prediction=row.score,
                    latency_ms=rng.lognormvariate(math.log(usual), 0.4),
                )
                sent += 1
    print(f"demo_producer: {log.stats}", file=sys.stderr)


def main() -> None:
    """Parse the command line, and do the one thing or the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write-baseline", type=Path, metavar="FILE")
    parser.add_argument("--rows", type=int, default=20_000, help="of the baseline")
    parser.add_argument("--bootstrap-servers", default="localhost:9094")
    parser.add_argument("--topic", default="predictions")
    parser.add_argument("--rate", type=float, default=200, help="predictions a second")
    parser.add_argument("--drift-after", type=float, default=180, metavar="SECONDS")
    parser.add_argument("--slow-after", type=float, default=360, metavar="SECONDS")
    arguments = parser.parse_args()
    if arguments.write_baseline:
        write_baseline(arguments.write_baseline, arguments.rows)
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stream(arguments, stop)


if __name__ == "__main__":
    main()
