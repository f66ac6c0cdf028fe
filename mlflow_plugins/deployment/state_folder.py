"""Where the state folder is, for what must know it without the settings; `flows.settings` finds it in the same way."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

FILE, VARIABLE, DEFAULT = "incumbent.toml", "INCUMBENT_STATE__FOLDER", ".incumbent"


def state_folder(start: Path, variables: Mapping[str, str]) -> Path:
    """The state folder of commands that are given in a folder.

    Args:
        start: the folder; the nearest `incumbent.toml` in it or above counts.
        variables: of the environment; they win over the file.
    """
    given = variables.get(VARIABLE)
    if given:
        return (start / Path(given).expanduser()).resolve()
    for folder in (start, *start.resolve().parents):
        if (folder / FILE).is_file():
            table = tomllib.loads((folder / FILE).read_text()).get("state", {})
            return (folder / Path(table.get("folder", DEFAULT)).expanduser()).resolve()
    return (start / DEFAULT).resolve()
