"""Finding the plug-in of a connector that speaks no HTTP: what is installed beside Zhiyin, never a bundle's code."""

from importlib.metadata import entry_points

from shared.assistants.plugins import GROUP, PluginContext, System
from shared.errors import ConfigurationError

__all__ = ["open_plugin"]


def open_plugin(name: str, context: PluginContext) -> System:
    """The system of a connector, by the plug-in of that name.

    Raises:
        ConfigurationError: it is not installed, is there twice, or cannot be used.
    """
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        there = ", ".join(sorted({each.name for each in entry_points(group=GROUP)})) or "none"
        raise ConfigurationError(f"the plug-in '{name}' is not installed; installed: {there}")
    if len(found) > 1:
        raise ConfigurationError(f"the plug-in '{name}' is installed twice: {', '.join(each.value for each in found)}")
    try:
        system: System = found[0].load()(context)
    except Exception as error:
        # It is code of somebody else.
        raise ConfigurationError(f"the plug-in '{name}' cannot be used: {type(error).__name__}: {error}") from error
    return system
