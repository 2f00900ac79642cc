"""Compare the ways to train on labels that arrive late."""

from benchmarks.delays.late_labels import main

if __name__ == "__main__":
    main()
