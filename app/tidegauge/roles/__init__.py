"""The worker process and its roles: shells that tie the pure rooms to Kafka.

Each role has a room of its own below this one; ``worker`` runs them.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.active_config import ActiveConfig as ActiveConfig
    from tidegauge.roles.source_topic import (
        DOUBT_SECONDS as DOUBT_SECONDS,
        SourceTopic as SourceTopic,
    )
    from tidegauge.roles.worker import run_worker as run_worker

face(__name__)
