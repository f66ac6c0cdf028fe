"""Where a trial takes place: a process that gives up what it can before anything heavy is imported.

The kernel takes a process with several threads nowhere, and NumPy starts threads when it is imported. So this module
imports the standard library only, and the trial after that.
"""

from __future__ import annotations

import ctypes

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)


def leave_network() -> bool:
    """Go where there is no network and no privilege; false where the kernel does not let an ordinary user do so."""
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (AttributeError, OSError):  # not Linux
        return False
    return bool(unshare(_NEW_USER | _NEW_NETWORK) == 0)


if __name__ == "__main__":
    leave_network()
    from mlflow_plugins.trial import main

    main()
