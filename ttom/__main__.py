"""`python -m ttom` is `ttom`."""

from ttom.cli import main

raise SystemExit(main())
