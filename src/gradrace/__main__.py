"""``python -m gradrace`` is the command line."""

from gradrace.cli import main

if __name__ == "__main__":
    main()
