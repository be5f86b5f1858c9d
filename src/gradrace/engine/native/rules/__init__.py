"""What each of PyTorch's operations means, a file for each sort; importing them fills ``lowering.RULES``."""

from gradrace.engine.native.rules import images, places, shapes, singles, sums

__all__ = ["images", "places", "shapes", "singles", "sums"]
