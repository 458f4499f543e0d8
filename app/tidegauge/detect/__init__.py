"""DETECT: merges histograms into windows, closes them by event time, judges and publishes them.

``partition``, ``watermark``, ``report`` and ``closing`` are pure; ``detector`` is Faust's side,
which takes half a second to import: nobody else should have to wait for it.
"""
