"""Compare training and scoring on a folder with the same in memory."""

from benchmarks.scale.out_of_core import main

if __name__ == "__main__":
    main()
