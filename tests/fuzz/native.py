"""The native decoder under libFuzzer: built with coverage by the Rust that is there, stable or not.

That is what cargo-fuzz does too, without a nightly compiler: LLVM's counters are flags of any.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fuzz.seeds import ROOT

CRATE = ROOT / "native" / "fuzz"
BUILT = ROOT / ".cache" / "native-fuzz"

_COVERAGE = (
    "level=4", "inline-8bit-counters", "pc-table", "trace-compares",
)  # fmt: skip


def build() -> Path:
    """Build the target and return the program; raises ``FileNotFoundError`` without a Rust."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise FileNotFoundError("cargo is not installed; the native decoder can't be fuzzed")
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    # Named, or build scripts were built with coverage too, which they can't be linked with.
    host = re.findall(r"^host: (.*)$", said, re.MULTILINE)[0]
    flags = ["--cfg fuzzing", "-Cpasses=sancov-module"]
    flags += [f"-Cllvm-args=-sanitizer-coverage-{one}" for one in _COVERAGE]
    subprocess.run(
        [cargo, "build", "--quiet", "--release", "--locked", "--target", host],
        cwd=CRATE,
        env={
            **os.environ,
            "RUSTFLAGS": " ".join(flags),
            "CARGO_TARGET_DIR": str(BUILT),
            "CARGO_BUILD_JOBS": "1",
        },
        check=True,
    )
    return BUILT / host / "release" / "tidegauge-native-fuzz"
