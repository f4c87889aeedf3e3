"""Values as Lua sees them: how a number is written, what counts as one."""

import math
from typing import Any


def tostring(value: Any) -> str:  # any value that a variable may have
    """Lua's tostring for what JSON and variables can hold."""
    if isinstance(value, str):
        return value
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**14 else f"{value:.14g}"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e14 else f"{value:.14g}"
    return "table"


def tonumber(value: Any) -> int | float | None:  # any value that a variable may have
    """Lua's tonumber: numbers, and texts that are one."""
    if not isinstance(value, str):
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if value.isdecimal() and value.isascii() and len(value) < 16:
        return int(value)
    text = value.strip()
    try:
        if text[:2].lower() == "0x":
            return int(text, 16)
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**63 else number
