"""Settings of labels. The string below each setting is its description in the docs."""

from pydantic import Field, SecretStr, field_validator

from tidegauge.config.sections import Dimension, Section

_DAY = 24 * 3600


class ModelOutcomeSettings(Section):
    """How labels are joined with the predictions of one model."""

    rate: float = Field(default=1.0, ge=0, le=1)
    """Which share of the predictions with an `id` is kept, so that a label finds them by it; the
    same ids on every node. With 0 only labels with a receipt, or with their prediction, count.
    """
    retention_seconds: int = Field(default=30 * _DAY, ge=1, le=400 * _DAY)
    """How long after its prediction a label by `id` counts, and how long after its arrival a label
    with a receipt can be corrected. `tidegauge.outcomes` must keep its records for longer.
    """
    early_seconds: int = Field(default=3600, ge=0, le=30 * _DAY)
    """How long a label waits for a prediction that is published after it."""
    cohort_seconds: int = Field(default=3600, ge=1, le=31 * _DAY)
    """Length of a cohort: the predictions of one such span of event time, of which performance is
    measured.
    """


class OutcomeSettings(ModelOutcomeSettings):
    """Labels: what is kept to join them, and who joins them."""

    groups: list[Dimension] | None = Field(default=None, max_length=10)
    """Dimensions of `segments` by whose values performance is compared, at most ten. Without it,
    those of `ingest.segments`.
    """
    receipt_key: SecretStr | None = None
    """Key of receipts, 16 characters at least; give it as a file of secrets. With it, a label with
    a receipt counts only if the receipt was signed by it. To change it, give several, one a line:
    each is accepted.
    """
    early_labels: int = Field(default=100_000, ge=0)
    """How many labels wait for predictions that are published after them, in each partition of
    `tidegauge.outcomes`. Further ones become dead letters.
    """
    group_id: str = "tidegauge-outcomes"
    """Consumer group of OUTCOMES."""
    flush_seconds: float = Field(default=1.0, gt=0)
    """How often counts of labels are committed."""
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    """As for INGEST."""

    @field_validator("receipt_key")
    @classmethod
    def _keys_are_long(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and any(len(key) < _KEY_CHARACTERS for key in _lines(given)):
            raise ValueError(f"a key has fewer than {_KEY_CHARACTERS} characters")
        return given

    @field_validator("groups")
    @classmethod
    def _each_once(cls, groups: list[str] | None) -> list[str] | None:
        if groups is not None and len(set(groups)) < len(groups):
            raise ValueError(f"a dimension is named twice in {groups}")
        return groups

    @property
    def receipt_keys(self) -> tuple[bytes, ...]:
        """The keys that receipts are accepted by; none: every receipt is accepted."""
        return () if self.receipt_key is None else tuple(map(str.encode, _lines(self.receipt_key)))


_KEY_CHARACTERS = 16


def _lines(given: SecretStr) -> list[str]:
    return [line.strip() for line in given.get_secret_value().splitlines()] or [""]
