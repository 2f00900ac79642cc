"""Compare the default settings with the libraries' and with neighbouring settings."""

from benchmarks.parameters.defaults import main

if __name__ == "__main__":
    main()
