"""A small OIS for tests of the planning service: the real DIMSE server over a dictionary, a tiny HTTP app."""

import threading
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from common import authority
from common.errors import Refused
from common.links.dimse import ArchiveServer
from common.state import StateDir


class FakeOis:
    """Holds objects by UID, in order of arrival; prescriptions and fractions are set by the test."""

    def __init__(self, root):
        self.state = StateDir(root)
        authority.new_key(self.state.signing_key, self.state.public_key)
        self.objects, self.prescriptions, self.fractions, self.refuse = {}, {}, {}, ""
        self.dicom = ArchiveServer("PTCS_OIS", ["PTCS_TPS"], self._store, lambda *_: [], self._get)
        self.dicom.start()
        config = uvicorn.Config(self._app(), host="127.0.0.1", port=0, log_config=None, lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            pass
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.announce()

    def announce(self, port=None):
        port = self.port if port is None else port
        self.state.announce("ois", port=port, dicom_port=self.dicom.port, aet="PTCS_OIS")

    def stop(self):
        self.server.should_exit = True
        self.thread.join()
        self.dicom.stop()

    def token(self, *roles, at=None):
        key = authority.load_private(self.state.signing_key)
        return authority.issue(key, "pat", frozenset(roles), at or datetime.now(UTC))

    def add(self, *datasets):
        for ds in datasets:
            self.objects[str(ds.SOPInstanceUID)] = ds

    def of_modality(self, modality):
        return [ds for ds in self.objects.values() if ds.Modality == modality]

    def _store(self, ds, _calling):
        if self.refuse and self.refuse == ds.Modality:
            raise Refused("the shelf is full")
        self.add(ds)

    def _get(self, _level, identifier, _calling):
        for key in ("SOPInstanceUID", "SeriesInstanceUID"):
            if identifier.get(key):
                return [ds for ds in self.objects.values() if ds[key].value == identifier[key].value]
        return []

    def _app(self):
        app = FastAPI()

        @app.get("/api/v1/prescriptions/{key}")
        def prescription(key: str):
            if key not in self.prescriptions:
                return JSONResponse({"error": "no such prescription"}, 404)
            return self.prescriptions[key]

        @app.get("/api/v1/plans/{uid}")
        def plan(uid: str):
            rows = [{"number": n, "parts": parts} for n, parts in self.fractions.items()]
            return {"state": "APPROVED", "prescription_id": "rx", "fractions": rows}

        return app
