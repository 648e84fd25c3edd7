"""What every kind with settings must answer: a model that knows its keys."""

from __future__ import annotations

from rollcast.plugins.settings import model_of


def check_settings(made: object) -> None:
    """Raises KindError where a kind's class names no settings, AssertionError where these take any key."""
    model = model_of(type(made), type(made).__name__)
    assert model.model_config.get("extra") == "forbid", (
        f"{model.__name__} takes keys that it does not name, so a misspelt one is lost in silence. "
        "Subclass rollcast.plugins.settings.Settings."
    )


__all__ = ["check_settings"]
