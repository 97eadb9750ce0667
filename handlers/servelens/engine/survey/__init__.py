"""What a model is made of, found out by running it once and watching."""

from servelens.engine.survey.anatomy import Layer, ReceptiveField, Survey
from servelens.engine.survey.dry_run import survey

__all__ = ["Layer", "ReceptiveField", "Survey", "survey"]
