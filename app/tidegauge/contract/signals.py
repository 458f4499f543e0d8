"""The signals tidegauge derives itself, and the binning that is the same for every model."""

#: Names no feature may take.
OUTPUT_SIGNALS = ("prediction", "label", "latency_ms", "status")

#: Bin edges of ``latency_ms``, milliseconds: fixed, so that every window of every model can be
#: added up and shown as one Prometheus histogram. About four bins a factor of ten, with an edge at
#: the 200 ms of the default rule.
LATENCY_EDGES_MS = (
    1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0,
    750.0, 1000.0, 1500.0, 2000.0, 3000.0, 5000.0, 7500.0, 10000.0, 30000.0,
)  # fmt: skip

#: Bins of ``status``; anything else counts as never seen.
STATUS_CATEGORIES = ("ok", "error")
