"""DICOM over the network: our own client, and the tools of dcmtk, against our server."""

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dicom_samples import small_ct, small_plan
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.dicom import canonical, files, ion_plan
from common.dicom.ct import to_datasets
from common.errors import BadDicom, LinkLost, Refused
from common.links.dimse import ArchiveServer, Peer, echo, fetch, find, store

SYSTEM = "/usr/local/bin:/usr/bin:/bin"
"""Where dcmtk is; pynetdicom puts programs of the same names into a virtual environment."""


def dcmtk(program: str) -> str:
    """Path of a dcmtk program."""
    found = shutil.which(program, path=SYSTEM)
    assert found is not None, f"{program} is missing although storescu is there"
    return found


@dataclass
class Archive:
    """An archive in memory; refuses what `refuse` says."""

    kept: dict[str, Dataset] = field(default_factory=dict)
    refuse: Exception | None = None
    take: Callable[[Dataset, str], None] | None = None

    def on_store(self, ds: Dataset, calling_aet: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        if self.take is not None:
            self.take(ds, calling_aet)
            return
        self.kept[ds.SOPInstanceUID] = ds

    def on_get(self, level: str, identifier: Dataset, calling_aet: str) -> list[Dataset]:
        return [ds for ds in self.kept.values() if ds.StudyInstanceUID == identifier.StudyInstanceUID]

    def on_find(self, level: str, identifier: Dataset, calling_aet: str) -> Iterator[Dataset]:
        studies = {ds.StudyInstanceUID: ds for ds in self.kept.values()}
        for uid, ds in studies.items():
            if identifier.get("PatientID") in ("", None, ds.PatientID):
                match = Dataset()
                match.StudyInstanceUID, match.PatientID, match.PatientName = uid, ds.PatientID, ds.PatientName
                yield match


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def peer(archive: Archive) -> Iterator[Peer]:
    server = ArchiveServer(
        "PTCS_OIS", ["PTCS_CT", "STORESCU"], archive.on_store, archive.on_find, archive.on_get
    )
    server.start()
    yield Peer("127.0.0.1", server.port, "PTCS_OIS")
    server.stop()


@pytest.mark.requirement("OIS-DICOM")
def test_series_is_stored_found_and_fetched(peer: Peer, archive: Archive) -> None:
    slices = to_datasets(small_ct())
    store(peer, slices, "PTCS_CT")
    assert set(archive.kept) == {ds.SOPInstanceUID for ds in slices}
    matches = find(
        peer, "PTCS_CT", "STUDY", PatientID=slices[0].PatientID, StudyInstanceUID="", PatientName=""
    )
    assert [match.StudyInstanceUID for match in matches] == [slices[0].StudyInstanceUID]
    assert str(matches[0].PatientName) == "Demo^病人"
    back = fetch(peer, "PTCS_CT", StudyInstanceUID=slices[0].StudyInstanceUID)
    assert {ds.SOPInstanceUID: ds.PixelData for ds in back} == {
        ds.SOPInstanceUID: ds.PixelData for ds in slices
    }
    assert len(fetch(peer, "PTCS_CT", PatientID=slices[0].PatientID)) == len(slices)
    assert find(peer, "PTCS_CT", "STUDY", PatientID="NOBODY") == []


@pytest.mark.requirement("OIS-DICOM")
def test_refusal_carries_the_reason(peer: Peer, archive: Archive) -> None:
    archive.refuse = BadDicom("slice missing at z = 12.00 mm")
    with pytest.raises(Refused, match=r"slice missing at z = 12\.00 mm"):
        store(peer, to_datasets(small_ct()), "PTCS_CT")
    archive.refuse = Refused("plan differs from the approved one " + "x" * 100)
    with pytest.raises(Refused, match="plan differs from the approved one"):
        store(peer, [ion_plan.to_dataset(small_plan())], "PTCS_CT")
    archive.refuse = OSError(28, "No space left on device")
    with pytest.raises(Refused, match="No space left"):
        store(peer, [ion_plan.to_dataset(small_plan())], "PTCS_CT")
    archive.refuse = RuntimeError("secret detail")
    with pytest.raises(Refused, match="internal error"):
        store(peer, [ion_plan.to_dataset(small_plan())], "PTCS_CT")
    assert archive.kept == {}


@pytest.mark.requirement("OIS-DICOM")
def test_unknown_titles_and_dead_peers(peer: Peer) -> None:
    echo(peer, "PTCS_CT")
    with pytest.raises(Refused, match="rejects associations of STRANGER"):
        echo(peer, "STRANGER")
    with pytest.raises(Refused, match="rejects"):
        echo(Peer(peer.host, peer.port, "OTHER"), "PTCS_CT")
    with pytest.raises(LinkLost, match="does not answer"):
        echo(Peer("127.0.0.1", 1, "NOBODY"), "PTCS_CT")
    with pytest.raises(ValueError, match="fetch needs"):
        fetch(peer, "PTCS_CT", Modality="CT")


@pytest.mark.requirement("OIS-DICOM")
def test_a_peer_that_hangs_up_is_a_lost_link() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        for _ in range(2):  # the probe, then the association
            connection, _address = listener.accept()
            connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(LinkLost, match="does not answer"):
        echo(Peer("127.0.0.1", listener.getsockname()[1], "PTCS_OIS"), "PTCS_CT")
    thread.join(5)
    listener.close()


@pytest.mark.requirement("OIS-DICOM")
def test_a_link_cut_in_the_middle_is_a_lost_link(peer: Peer, archive: Archive) -> None:
    """A relay between the two cuts both connections when three instances have arrived."""
    relay = socket.create_server(("127.0.0.1", 0))
    open_ends: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        pumps = []
        for _ in range(2):  # the probe, then the association
            near, _address = relay.accept()
            far = socket.create_connection((peer.host, peer.port))
            open_ends.extend((near, far))
            pumps += [threading.Thread(target=pump, args=ends) for ends in ((near, far), (far, near))]
            for thread in pumps[-2:]:
                thread.start()
        for thread in pumps:
            thread.join(10)
        for end in open_ends:
            end.close()

    def cut(ds: Dataset, calling_aet: str) -> None:
        archive.kept[ds.SOPInstanceUID] = ds
        if len(archive.kept) == 3:
            for end in open_ends[2:]:
                end.shutdown(socket.SHUT_RDWR)

    archive.take = cut
    thread = threading.Thread(target=accept)
    thread.start()
    with pytest.raises(LinkLost, match=r"CT Image Storage \((3|4) of 6\)"):
        store(Peer("127.0.0.1", relay.getsockname()[1], peer.aet), to_datasets(small_ct()), "PTCS_CT")
    thread.join(10)
    relay.close()
    assert len(archive.kept) == 3


@pytest.mark.requirement("OIS-DICOM")
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_hash_survives_the_network(peer: Peer, archive: Archive, tmp_path: Path, syntax: str) -> None:
    ds = ion_plan.to_dataset(small_plan())
    digest = canonical.plan_hash(ds)
    ds.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "plan.dcm"
    files.write_file(ds, path)
    on_disk = files.read_file(path)
    store(peer, [on_disk], "PTCS_CT")
    (back,) = fetch(peer, "PTCS_CT", StudyInstanceUID=ds.StudyInstanceUID)
    assert canonical.plan_hash(on_disk) == digest
    assert canonical.plan_hash(archive.kept[ds.SOPInstanceUID]) == digest
    assert canonical.plan_hash(back) == digest
    assert ion_plan.from_dataset(back).rbe_model == small_plan().rbe_model


@pytest.mark.requirement("OIS-DICOM")
@pytest.mark.skipif(shutil.which("storescu", path=SYSTEM) is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("wish", ["-xi", "-xe"])
def test_dcmtk_talks_to_the_server(peer: Peer, archive: Archive, tmp_path: Path, wish: str) -> None:
    ds = ion_plan.to_dataset(small_plan())
    path = tmp_path / "plan.dcm"
    files.write_file(ds, path)
    where = ["-aec", peer.aet, peer.host, str(peer.port)]
    subprocess.run([dcmtk("echoscu"), "-aet", "PTCS_CT", *where], check=True, timeout=20)
    subprocess.run(
        [dcmtk("storescu"), "-R", wish, "-aet", "PTCS_CT", *where, str(path)], check=True, timeout=20
    )
    assert canonical.plan_hash(archive.kept[ds.SOPInstanceUID]) == canonical.plan_hash(ds)
    query = [
        "-S",
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        "StudyInstanceUID",
        "-k",
        f"PatientID={ds.PatientID}",
    ]
    answer = subprocess.run(
        [dcmtk("findscu"), "-v", "-aet", "PTCS_CT", *query, *where],
        check=True,
        timeout=20,
        capture_output=True,
        text=True,
    )
    assert ds.StudyInstanceUID in answer.stdout + answer.stderr
    out = tmp_path / "got"
    out.mkdir()
    got = [dcmtk("getscu"), "-S", "-aet", "PTCS_CT", "-k", "QueryRetrieveLevel=STUDY"]
    keys = ["-k", f"StudyInstanceUID={ds.StudyInstanceUID}", "-od", str(out)]
    subprocess.run([*got, *keys, *where], check=True, timeout=20)
    (fetched,) = out.iterdir()
    assert canonical.plan_hash(files.read_file(fetched)) == canonical.plan_hash(ds)
    stranger = subprocess.run(
        [dcmtk("echoscu"), "-aet", "STRANGER", *where], check=False, timeout=20, capture_output=True
    )
    assert stranger.returncode != 0
