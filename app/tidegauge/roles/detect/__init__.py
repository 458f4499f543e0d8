"""DETECT: Faust's side of :mod:`tidegauge.windows`, histograms in, reports and alerts out.

The only room that knows Faust.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.detect.detector import Detector as Detector

face(__name__)
