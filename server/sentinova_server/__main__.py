"""`sentinova-server`, also as `python -m sentinova_server`: says what to install where the server's packages are missing."""

import sys


def main() -> None:
    """Runs the command."""
    try:
        from sentinova_server.cli import main as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        # The distribution without extras is the client alone.
        sys.exit(f"sentinova-server: no module {error.name!r}: install the server with `pip install 'sentinova[server]'`")
    run()


if __name__ == "__main__":
    main()
