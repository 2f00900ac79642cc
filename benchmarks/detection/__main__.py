"""Train and evaluate all models on all data sets."""

from benchmarks.detection.evaluation import main

if __name__ == "__main__":
    main()
