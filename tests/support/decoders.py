"""Whatever is said of counting is said of both decoders."""

from collections.abc import Iterator

import pytest

from tidegauge.counting.decode import native


@pytest.fixture(params=["native", "python"], scope="module", autouse=True)
def decoder(request: pytest.FixtureRequest) -> Iterator[str]:
    """Use the extension, or Python alone as where it isn't installed; say which."""
    assert native.MODULE is not None, "tidegauge_native is not built: make venv"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(native, "MODULE", None)
        yield request.param
