"""Makes `walking` importable beside the tests: there are no packages here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
