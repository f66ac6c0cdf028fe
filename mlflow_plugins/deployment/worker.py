"""One process that answers: `python -m mlflow_plugins.deployment.worker`, with its options in the environment.

It is started with BLAS and OpenMP threads set to one, because as many workers as cores share the machine.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.hot_swap import HotSwap
from mlflow_plugins.deployment.lane import Lane
from mlflow_plugins.deployment.logged_answers import logging_requests
from mlflow_plugins.deployment.metrics import Board
from mlflow_plugins.deployment.options import ServerOptions, read_options
from mlflow_plugins.deployment.pages import PAGES
from mlflow_plugins.deployment.precomputed import PrecomputedPages
from mlflow_plugins.deployment.server import Server
from mlflow_plugins.deployment.starting import FD, OPTIONS, SLOT

FAILED = 1
_LIBRARIES = ("mlflow.pyfunc.scoring_server", "mlflow.sklearn", "skops.io", "sklearn.ensemble", "fastapi")


def main() -> int:
    """Serve until SIGTERM; 1 when a model could not be loaded."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    options = read_options(os.environ[OPTIONS])
    for name in _LIBRARIES:
        importlib.import_module(name)
    keep_out_of_collections()
    listening = socket.socket(fileno=int(os.environ[FD]))
    server = Server(make_application(options, int(os.environ.get(SLOT, "0"))), options.access)
    with logging_requests(server.application, options.log):
        asyncio.Runner(loop_factory=server.config.get_loop_factory()).run(_serve(server, options, listening))
    if server.failed is not None:
        sys.stderr.write(f"incumbent: {server.failed}\n")
        return FAILED
    return 0


def make_application(options: ServerOptions, slot: int = 0) -> Application:
    """An application of these options, without a model yet."""
    lane = Lane(ThreadPoolExecutor(1, thread_name_prefix="predict"))
    lookups = {stored.model: stored.lookup for stored in options.models if stored.lookup is not None}
    precomputed = [PrecomputedPages(list(lookups), lookup) for lookup in list(lookups.values())[:1]]
    application = Application(options.limits, options.access, lane, (*precomputed, *PAGES))
    folder = Path(options.metrics_folder) if options.metrics_folder is not None else None
    application.board = Board(application.counts, folder, slot)
    return application


def keep_out_of_collections() -> None:
    """Let the collector pass by what is there: a pass holds the interpreter's lock, 5 ms then, else 70 to 150.

    Done when the libraries are imported, and again when the first versions are loaded, which imports and compiles
    half as much again. Versions that are loaded later and given up are collected all the same; of the first ones only
    MLflow's app stays, since nothing else of a version hangs in cycles.
    """
    gc.collect()
    gc.freeze()


async def _serve(server: Server, options: ServerOptions, listening: socket.socket) -> None:
    loading = asyncio.create_task(_load(server, options))
    if options.workers > 1:
        await server.loaded.wait()  # the others answer meanwhile, and what is dealt to this one would be refused
    await server.serve(sockets=[listening])
    if not loading.done():
        loading.cancel()


async def _load(server: Server, options: ServerOptions) -> None:
    """Load the models beside the event loop, while `/ready` answers 503; then follow the ledger."""
    swap = HotSwap(server.application, options)
    try:
        await swap.begin(keep_out_of_collections)
    except Exception as error:  # noqa: BLE001  # whatever it was, this worker cannot serve, and says why at its end
        server.failed = error
        server.should_exit = True
        return
    finally:
        server.loaded.set()
    await swap.follow()


if __name__ == "__main__":
    sys.exit(main())
