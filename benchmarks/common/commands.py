"""Build command lines with shared options."""

from __future__ import annotations

import argparse
import os


def command(
    name: str, description: str | None, *, data: bool = False, jobs: bool = False
) -> argparse.ArgumentParser:
    """Return a parser for ``python -m benchmarks.<name>`` with the requested options.

    ``description`` is the docstring of the module: ``--help`` prints it whole.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if data:
        parser.add_argument(
            "--data", metavar="DIR", help="folder of the data sets [FOCAL_GBM_DATA]"
        )
    if jobs:
        parser.add_argument(
            "--jobs",
            type=int,
            default=os.cpu_count(),
            metavar="N",
            help="jobs at a time, each on one thread [the cores]",
        )
    return parser
