"""Rules and a budget tried on windows of the past: what would have fired, when, and how soon.

Window reports come from Kafka and baselines from Redis; what is made of them is pure.
"""

from tidegauge.backtest.inject import Injection
from tidegauge.backtest.result import Result
from tidegauge.backtest.run import NoWindows, Plan, backtest

__all__ = ["Injection", "NoWindows", "Plan", "Result", "backtest"]
