"""`python -m cli`: the same as the command `frontdesk`."""

import sys

from cli.main import main

sys.exit(main())
