"""`python -m sentinova_server`: the same as `sentinova-server`."""

from sentinova_server.cli import main

if __name__ == "__main__":
    main()
