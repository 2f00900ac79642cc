"""Load the saved models of a folder, and compare their probabilities with those saved.

    python tests/golden/read.py [FOLDER]
    python tests/golden/read.py --written-by /path/to/another/python

The second line is a change of versions in one command: the other interpreter, with its
libraries, trains, calibrates and saves (tests/golden/write.py), and this one, with its
own, loads and predicts. A difference above 1e-6 is an error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import write

from focal_gbm.export import load

LARGEST = 1e-6
ROOT = Path(__file__).resolve().parents[2]


def difference(path: Path) -> float:
    """Return the largest difference between probabilities now and when saved."""
    X, _ = write.rows()
    expected = np.load(path.with_suffix(".npy"))
    found = load(path).predict_proba(X)[:, 1]
    return float(np.abs(found - expected).max())


def versions(path: Path) -> str:
    """Return the line of a saved model that has the versions of its libraries."""
    return path.read_bytes().split(b"\n", 3)[2].decode()


def main() -> None:
    """Print the difference of each model, and fail if one is too large."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=write.FOLDER)
    parser.add_argument("--written-by", metavar="PYTHON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder
        if arguments.written_by:
            folder = Path(temporary)
            script = [arguments.written_by, write.__file__, temporary]
            paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
            subprocess.run(script, check=True, env=environment)
        found = {path: difference(path) for path in sorted(folder.glob("*.model"))}
        for path, largest in found.items():
            print(f"{path.name}: {largest:.1e}, saved with {versions(path)}")
    if not found or max(found.values()) > LARGEST:
        msg = f"a difference is above {LARGEST}" if found else f"no model in {folder}"
        raise SystemExit(msg)


if __name__ == "__main__":
    main()
