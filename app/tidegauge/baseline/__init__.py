"""What a model is compared with: building, versioning and storing baselines, and their binning.

What is exported here needs neither Redis nor pyarrow; import the rest from its own module:
``baseline.build.build``, ``baseline.store.BaselineStore``, ``baseline.cache``.
"""

from tidegauge.baseline.binning import canonical_category, numeric_counts, numeric_edges
from tidegauge.baseline.compare import bin_labels, distribution, reference_counts, vectors
from tidegauge.baseline.document import Baseline, CategoricalSignal, NumericSignal, Signal

__all__ = [
    "Baseline",
    "CategoricalSignal",
    "NumericSignal",
    "Signal",
    "bin_labels",
    "canonical_category",
    "distribution",
    "numeric_counts",
    "numeric_edges",
    "reference_counts",
    "vectors",
]
