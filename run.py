"""The command line: `python run.py`, `python run.py task=calibrate`, and so on."""

import sys

from conf.usage import asked_for, page

if __name__ == "__main__":
    if asked_for(sys.argv[1:]):
        print(page())
    else:
        from conf.entry import start  # late, so that --help need not import Hydra

        start()
