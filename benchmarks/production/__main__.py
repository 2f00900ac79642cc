"""Measure how long a prediction takes, alone and through the HTTP service."""

from benchmarks.production.latency import main

if __name__ == "__main__":
    main()
