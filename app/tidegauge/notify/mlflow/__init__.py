"""Alerts and actions on the model version they are about, in MLflow's model registry.

Pure in the middle (``tags`` and ``note`` say what a record makes of what is there); ``registry`` is
MLflow's REST API, and ``channel`` puts them together.
"""

from tidegauge.notify.mlflow.channel import MlflowChannel

__all__ = ["MlflowChannel"]
