"""Evidence on maps: whether they add up, what they predict, and whether they hold still."""

from servelens.engine.trust.bench import Bench
from servelens.engine.trust.checks import CHECKS
from servelens.engine.trust.examine import examine
from servelens.engine.trust.scope import most_passes

__all__ = ["CHECKS", "Bench", "examine", "most_passes"]
