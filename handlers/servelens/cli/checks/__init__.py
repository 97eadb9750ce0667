"""What `servelens doctor` looks at: this machine first, then the server that it asks."""

from servelens.cli.checks.finding import Finding
from servelens.cli.checks.machine import check_machine
from servelens.cli.checks.server import check_health, check_key_file, check_models

__all__ = ["Finding", "check_health", "check_key_file", "check_machine", "check_models"]
