"""Makes `from support.cluster import Cluster` work in every test file, wherever it stands."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
