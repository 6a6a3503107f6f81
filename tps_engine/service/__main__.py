"""The planning service: python -m tps_engine.service --state DIR --site FILE [--port N]."""

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from common import site as sites
from common.errors import PtcsError
from common.logs import set_up
from common.state import StateDir
from common.text import _
from tps_engine.beamdata import model as beam_models
from tps_engine.beamdata.model import BeamModel
from tps_engine.service import app
from tps_engine.service.archive import AET
from tps_engine.service.doorkeeper import Doorkeeper
from tps_engine.service.jobs import JobStore
from tps_engine.service.worker import Work, Worker

NAME = "tps"
NICENESS = 10
"""Planning computes for minutes at a time: what watches a beam on the same machine goes first."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status 2 for a bad site file, 3 for a port that is taken."""
    given = _parse(arguments)
    log = set_up(NAME)
    os.nice(NICENESS)
    state = StateDir(given.state.resolve())
    try:
        site = sites.load(given.site)
        service = _service(state, site)
    except PtcsError as why:
        log.error("%s", why)
        return 2
    try:
        listener = socket.create_server(("127.0.0.1", given.port))
    except OSError as why:
        log.error("port %d on 127.0.0.1: %s; allowed is a free one, 0 takes any", given.port, why.strerror)
        return 3
    _serve(service, state, listener, log)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tps_engine.service", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory of the facility")
    parser.add_argument("--site", type=Path, default=sites.DEFAULT_SITE, help="site file")
    parser.add_argument("--port", type=int, default=0, help="HTTP port on 127.0.0.1; 0: any free one")
    return parser.parse_args(arguments)


def _service(state: StateDir, site: sites.Site) -> FastAPI:
    """The application with its job thread, not started yet. Raises BadConfig."""

    @cache
    def beam_model() -> BeamModel:
        return beam_models.load(site.beam_model)

    beam_model()  # a bad beam model ends the process, not the first job
    store = JobStore(state.root / "tps" / "jobs")
    worker = Worker(store, lambda: _works(state, site, beam_model), lambda: _warm_up(beam_model()))
    return app.create(store, worker, Doorkeeper(state.public_key), _lifespan)


# Planning's libraries take seconds to import; a facility that starts does not wait for them.
def _works(state: StateDir, site: sites.Site, beam_model: Callable[[], BeamModel]) -> dict[str, Work]:
    from tps_engine.service.plan_job import PlanJob  # noqa: PLC0415
    from tps_engine.service.reconstruct_job import ReconstructJob  # noqa: PLC0415

    return {
        "plan": PlanJob(state, site, beam_model),
        "reconstruct": ReconstructJob(state, site, beam_model),
    }


def _warm_up(beam_model: BeamModel) -> None:
    from tps_engine.service.warmup import warm_up  # noqa: PLC0415

    warm_up(beam_model)


@asynccontextmanager
async def _lifespan(service: FastAPI) -> AsyncIterator[None]:
    service.state.worker.start()
    service.state.announce()
    yield
    service.state.store.fail_unfinished(_("the planning service was stopped; post the job again"))


def _serve(service: FastAPI, state: StateDir, listener: socket.socket, log: logging.Logger) -> None:
    port = listener.getsockname()[1]
    service.state.announce = lambda: state.announce(NAME, port=port, aet=AET)
    # uvicorn raises the signal again after it has stopped: here it ends nothing more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_unused: None)
    config = uvicorn.Config(service, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    log.info("listening on 127.0.0.1:%d", port)
    uvicorn.Server(config).run(sockets=[listener])
    state.run_file(NAME).unlink(missing_ok=True)
    log.info("stopped")


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # a job may compute for minutes more: its threads are not waited for
