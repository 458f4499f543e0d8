"""Settings, and files of YAML: each problem with its line and column, read again when they change.

A wrong file never replaces a right one. Nothing here knows what is in a rule or a receiver.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.config.settings import (
        MAX_AUDIT_BYTES as MAX_AUDIT_BYTES,
        MAX_RECORD_BYTES as MAX_RECORD_BYTES,
        IngestSettings as IngestSettings,
        KafkaSettings as KafkaSettings,
        LinkSettings as LinkSettings,
        Settings as Settings,
        TopicSettings as TopicSettings,
        WindowSettings as WindowSettings,
        config_file as config_file,
        load_settings as load_settings,
    )
    from tidegauge.config.settings_errors import (
        SettingsError as SettingsError,
        load_settings_file as load_settings_file,
    )
    from tidegauge.config.unshown import UNSHOWN as UNSHOWN, shown as shown
    from tidegauge.config.watched_file import (
        LOOK_SECONDS as LOOK_SECONDS,
        WatchedFile as WatchedFile,
    )
    from tidegauge.config.yaml_document import (
        FileError as FileError,
        Location as Location,
        Problem as Problem,
        dotted as dotted,
        parse_document as parse_document,
    )

face(
    __name__,
    {
        "settings": (
            "IngestSettings",
            "KafkaSettings",
            "LinkSettings",
            "MAX_AUDIT_BYTES",
            "MAX_RECORD_BYTES",
            "Settings",
            "TopicSettings",
            "WindowSettings",
            "config_file",
            "load_settings",
        ),
        "settings_errors": ("SettingsError", "load_settings_file"),
        "unshown": ("UNSHOWN", "shown"),
        "watched_file": ("LOOK_SECONDS", "WatchedFile"),
        "yaml_document": ("FileError", "Location", "Problem", "dotted", "parse_document"),
    },
)
