"""The program `sentinova-server`, also `python -m sentinova_server`.

Knows only whether the server's packages are installed.
"""

import sys


def main() -> None:
    """Runs the command."""
    try:
        from sentinova_server.cli import main as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        # The distribution without extras is the client alone.
        sys.exit(f"sentinova-server: no module {error.name!r}: the server needs `pip install 'sentinova[server]'`")
    run()


if __name__ == "__main__":
    main()
