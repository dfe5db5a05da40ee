"""`python -m badgateway`: the same as the console script `badgateway`."""

from badgateway.cli import main

if __name__ == "__main__":
    main()
