"""`FeatureVisualizer`: look into a model from Python, one of this process or one that is served."""

from servelens.visualizer.feature_visualizer import FeatureVisualizer
from servelens.visualizer.sources import LayerNotFound

__all__ = ["FeatureVisualizer", "LayerNotFound"]
