"""Texts to vectors on any platform, shared by the drivers that need text."""

from .bad_vectors import BadVectorError
from .encoder import CHUNK, Encoder
from .plan import EncoderPlan
from .recipe import ROLES, Recipe, Role, add_encoder_arguments, take_recipe
from .second_look import OtherTextError
from .timings import STAGES, Timings

__all__ = [
    "CHUNK",
    "ROLES",
    "STAGES",
    "BadVectorError",
    "Encoder",
    "EncoderPlan",
    "OtherTextError",
    "Recipe",
    "Role",
    "Timings",
    "add_encoder_arguments",
    "take_recipe",
]
