"""What stands for settings that nobody has set, for those who read only a few of them, too."""

from pathlib import Path

PREFIX = "SLUICE_"
HOME = Path(".sluice")
HOST = "127.0.0.1"
SERVICE_PORT = 8400
