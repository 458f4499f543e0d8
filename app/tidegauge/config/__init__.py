"""Settings, and files of YAML: each problem with its line and column, read again when they change.

A wrong file never replaces a right one. Nothing here knows what is in a rule or a receiver.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.config.files import (
        LOOK_SECONDS as LOOK_SECONDS,
        FileError as FileError,
        FileFormat as FileFormat,
        WatchedFile as WatchedFile,
        read_file as read_file,
    )
    from tidegauge.config.outcome_sections import (
        ModelOutcomeSettings as ModelOutcomeSettings,
        OutcomeSettings as OutcomeSettings,
    )
    from tidegauge.config.sections import (
        MAX_AUDIT_BYTES as MAX_AUDIT_BYTES,
        MAX_RECORD_BYTES as MAX_RECORD_BYTES,
        IngestSettings as IngestSettings,
        KafkaSettings as KafkaSettings,
        LinkSettings as LinkSettings,
        TopicSettings as TopicSettings,
        WindowSettings as WindowSettings,
    )
    from tidegauge.config.settings import (
        Settings as Settings,
        config_file as config_file,
        load_settings as load_settings,
        load_settings_file as load_settings_file,
    )
    from tidegauge.config.yaml_document import (
        UNSHOWN as UNSHOWN,
        Location as Location,
        Problem as Problem,
        dotted as dotted,
        parse_document as parse_document,
    )

face(__name__)
