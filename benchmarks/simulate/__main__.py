"""`python benchmarks/simulate`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from simulate.write import main

if __name__ == "__main__":
    main()
