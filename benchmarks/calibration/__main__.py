"""Measure calibrators by the number of frauds that they are fitted to."""

from benchmarks.calibration.calibrators import main

if __name__ == "__main__":
    main()
