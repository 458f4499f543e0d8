"""Rules: when a report is an alert, how severe it is, and what is to be done about it.

Pure: a rule file, window reports and the state so far go in; alerts, actions and audit come out.
"""

from tidegauge.rules.document import FileError, Location, Problem, dotted, parse_document
from tidegauge.rules.evaluate import DistributionOf, Verdict, evaluate
from tidegauge.rules.figures import MOST_MOVED
from tidegauge.rules.links import RUNBOOK, check_template, links_of, segment_of
from tidegauge.rules.load import DEFAULT_RULES, RuleError, load_rules, parse_rules
from tidegauge.rules.measure import Measurement, measure, surprise
from tidegauge.rules.metrics import METRICS, Metric
from tidegauge.rules.model import MINIMUM_PSI, Rule, RuleFile, rule_schema
from tidegauge.rules.revision import Revised, evaluate_late
from tidegauge.rules.ruleset import RuleSet
from tidegauge.rules.silence import (
    MISSED_AFTER_SECONDS,
    Quiet,
    due_at,
    end_forgotten,
    judge_silence,
)
from tidegauge.rules.state import AlertState, Episode, SeriesState
from tidegauge.rules.summary import listed, render

__all__ = [
    "DEFAULT_RULES",
    "METRICS",
    "MINIMUM_PSI",
    "MISSED_AFTER_SECONDS",
    "MOST_MOVED",
    "RUNBOOK",
    "AlertState",
    "DistributionOf",
    "Episode",
    "FileError",
    "Location",
    "Measurement",
    "Metric",
    "Problem",
    "Quiet",
    "Revised",
    "Rule",
    "RuleError",
    "RuleFile",
    "RuleSet",
    "SeriesState",
    "Verdict",
    "check_template",
    "dotted",
    "due_at",
    "end_forgotten",
    "evaluate",
    "evaluate_late",
    "judge_silence",
    "links_of",
    "listed",
    "load_rules",
    "measure",
    "parse_document",
    "parse_rules",
    "render",
    "rule_schema",
    "segment_of",
    "surprise",
]
