"""Generate the reference pages of the documentation from the code: ``make reference``.

Each module renders one page as Markdown; ``PAGES`` has them by file name.
"""

from collections.abc import Callable, Mapping

from tools.reference.commands import command_page
from tools.reference.metrics import metric_page
from tools.reference.settings import setting_page
from tools.reference.topics import topic_page

__all__ = ["PAGES"]

PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": setting_page,
    "metrics.md": metric_page,
    "cli.md": command_page,
    "topics.md": topic_page,
}
