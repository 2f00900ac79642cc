"""Measure all questions of this folder with their default options.

    python -m benchmarks.scale [--small] [--write]

runs benchmarks.scale.out_of_core and benchmarks.scale.cluster.
"""

from __future__ import annotations

from benchmarks.common.commands import command
from benchmarks.scale import cluster, out_of_core


def main() -> None:
    """Run both benchmarks."""
    parser = command("scale", __doc__)
    parser.add_argument("--small", action="store_true", help="to try the commands")
    parser.add_argument("--write", action="store_true", help="write the pages")
    options = vars(parser.parse_args())
    words = [f"--{name}" for name, is_set in options.items() if is_set]
    for benchmark in (out_of_core, cluster):
        benchmark.main(words)


if __name__ == "__main__":
    main()
