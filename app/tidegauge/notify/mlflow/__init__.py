"""Alerts and actions on the model version they are about, in MLflow's model registry.

Pure in the middle (``tags`` and ``note`` say what a record makes of what is there); ``registry`` is
MLflow's REST API, and ``channel`` puts them together.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.notify.mlflow.channel import MlflowChannel as MlflowChannel

face(
    __name__,
    {
        "channel": ("MlflowChannel",),
    },
)
