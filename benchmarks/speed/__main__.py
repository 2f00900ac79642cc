"""Measure time and memory, part by part."""

from benchmarks.speed.parts import main

if __name__ == "__main__":
    main()
