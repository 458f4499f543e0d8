"""Health as the orchestrator sees it: is the process alive, is it doing its work, what is amiss."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "degraded", "failed"]

#: A loop that has not come round for this long is stuck; ten session timeouts.
STALL_SECONDS = 100.0


@dataclass
class Health:
    """Conditions by name, and heartbeats of the loops that must keep turning. Thread-safe.

    A *failed* condition makes the process not ready; a *degraded* one is said, but work goes on.
    """

    clock: Callable[[], float]
    _conditions: dict[str, tuple[State, str]] = field(default_factory=dict)
    _beats: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, name: str, state: State, detail: str = "") -> None:
        """Set a condition."""
        with self._lock:
            self._conditions[name] = (state, detail)

    def beat(self, name: str) -> None:
        """Note that a loop came round."""
        with self._lock:
            self._beats[name] = self.clock()

    def live(self) -> tuple[bool, dict[str, object]]:
        """Return whether every loop is turning, and how long ago each came round, seconds."""
        now = self.clock()
        with self._lock:
            ages = {name: round(now - beat, 3) for name, beat in self._beats.items()}
        return all(age < STALL_SECONDS for age in ages.values()), {"loop_age_seconds": ages}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Return whether nothing has failed, and every condition with its detail."""
        with self._lock:
            conditions = dict(self._conditions)
        states = {state for state, _ in conditions.values()}
        status = next((s for s in ("failed", "degraded") if s in states), "ok")
        detail = {
            name: {"state": state, "detail": detail}
            for name, (state, detail) in sorted(conditions.items())
        }
        return status != "failed", {"status": status, "conditions": detail}
