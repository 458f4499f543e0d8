"""Rules and a budget tried on windows of the past: what would have fired, when, and how soon.

Window reports come from Kafka and baselines from Redis; what is made of them is pure.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.backtest.calibrate import calibrate as calibrate
    from tidegauge.backtest.diagnosis import AlarmCause as AlarmCause
    from tidegauge.backtest.inject import Injection as Injection
    from tidegauge.backtest.records import ModelKeys as ModelKeys, fired as fired
    from tidegauge.backtest.result import (
        Calibration as Calibration,
        InjectionResult as InjectionResult,
        ModelPromise as ModelPromise,
        PastEpisode as PastEpisode,
        PromiseCount as PromiseCount,
        Result as Result,
        RuleCount as RuleCount,
        Sighting as Sighting,
        SignalPromise as SignalPromise,
        SliceSpan as SliceSpan,
        TriedRemedy as TriedRemedy,
    )
    from tidegauge.backtest.run import (
        BacktestPlan as BacktestPlan,
        NoWindows as NoWindows,
        backtest as backtest,
    )

face(__name__)
