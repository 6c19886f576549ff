"""The one exception that a recipe step raises for a cause its user can mend.

Knows nothing of the steps themselves.
"""

from __future__ import annotations


class RecipeError(Exception):
    """A problem with input, files or environment; the message names the place and the fix."""
