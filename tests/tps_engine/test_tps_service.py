"""The planning service as a process, against a small OIS that speaks real DICOM and HTTP."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from common.dicom import ct, ion_plan, ion_record, modules, rt_dose, structures
from common.dicom.plan import PatientIdentity
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.errors import LinkLost, Refused, Unauthorised
from common.files import read_json
from common.links.http import JsonClient
from tests.tps_engine.fake_ois import FakeOis
from tps_engine.biology import parameters, stated

pytestmark = [pytest.mark.requirement("SYS-LOOP"), pytest.mark.requirement("TPS-QA")]
PATIENT = PatientIdentity("P-17", "Water^Wendy", "19600229", "F")
SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
PICTURES = ("dose_planes.png", "dvh.png", "spot_map.png", "gamma.png")


def _ball(radius, heights, centre=(0.0, 0.0)):
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    for z in heights:
        if abs(z) < radius:
            r = np.sqrt(radius**2 - z**2)
            x, y = centre[0] + r * np.cos(turn), centre[1] + r * np.sin(turn)
            yield np.column_stack([x, y, np.full(36, z)])


def _images():
    """A water cylinder of 140 mm with a ball of 30 mm to treat and an organ beside it."""
    uid = modules.new_uid
    size, step = 52, 3.0
    heights = -step * 14 + step * np.arange(29)
    axis = -step * (size - 1) / 2 + step * np.arange(size)
    hu = np.full((29, size, size), -1000.0, np.float32)
    hu[:, axis[:, None] ** 2 + axis[None, :] ** 2 < 70.0**2] = 0.0
    volume = ct.CtVolume(
        hu, (axis[0], axis[0], heights[0]), (step,) * 3, PATIENT, uid(), uid(), uid(),
        tuple(uid() for _ in heights), created="20260101120000",
    )  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    rim = [np.column_stack([69 * np.cos(turn), 69 * np.sin(turn), np.full(90, z)]) for z in heights]
    rois = {
        "body": structures.Roi(1, "body", "EXTERNAL", tuple(rim)),
        "tumour": structures.Roi(2, "tumour", "PTV", tuple(_ball(15.0, heights))),
        "cord": structures.Roi(3, "cord", "ORGAN", tuple(_ball(9.0, heights, (0.0, 35.0)))),
    }
    found = structures.StructureSet(
        PATIENT, uid(), volume.study_instance_uid, uid(), volume.frame_of_reference_uid,
        volume.series_instance_uid, "water", rois, "20260101120000",
    )  # fmt: skip
    return volume, found


class Service:
    """The process under test."""

    def __init__(self, ois):
        self.ois = ois
        command = [sys.executable, "-m", "tps_engine.service", "--state", str(ois.state.root)]
        with (ois.state.root / "tps.log").open("a") as log:
            self.process = subprocess.Popen(command, stderr=log)
        while True:
            assert self.process.poll() is None, (ois.state.root / "tps.log").read_text()
            try:
                where = ois.state.endpoint("tps")
            except LinkLost:
                where = {"pid": 0}
            if where["pid"] == self.process.pid:
                break
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{where['port']}/api/v1"
        assert where["aet"] == "PTCS_TPS"

    def client(self, *roles, token=None):
        return JsonClient(self.url, token or self.ois.token(*(roles or ("physicist",))))

    def run(self, request):
        """(job id, final state) of a job."""
        with self.client() as client:
            job = client.post("/jobs", request)["id"]
            while (state := client.get(f"/jobs/{job}"))["state"] in ("QUEUED", "RUNNING"):
                time.sleep(0.05)
            return job, state

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture(scope="module")
def ois(tmp_path_factory):
    it = FakeOis(tmp_path_factory.mktemp("state"))
    yield it
    it.stop()


@pytest.fixture(scope="module")
def case(ois):
    volume, found = _images()
    ois.add(*ct.to_datasets(volume), structures.to_dataset(found, volume))
    ois.prescriptions["rx"] = {
        "id": "rx", "patient_id": PATIENT.patient_id, "target": "tumour", "dose_per_fraction": 2.0,
        "fractions": 5, "rbe_model": "constant 1.1", "structure_set_uid": found.sop_instance_uid,
        "organs": [{"name": "cord", "max_gy": 5.0}],
    }  # fmt: skip
    return found


@pytest.fixture(scope="module")
def service(ois):
    it = Service(ois)
    yield it
    it.process.kill()
    it.process.wait()


REQUEST = {
    "kind": "plan",
    "patient_id": PATIENT.patient_id,
    "prescription_id": "rx",
    "fields": [{"name": "A", "gantry": 0.0, "couch": 0.0}, {"name": "L", "gantry": 90.0, "couch": 0.0}],
    "machine": "PTCS-SYN-1",
    "margin_mm": 2.0,
}


@pytest.fixture(scope="module")
def planned(ois, case, service):
    job, state = service.run(REQUEST)
    assert state["state"] == "DONE", state
    return job, state


@pytest.fixture(scope="module")
def plan(ois, planned):
    return ion_plan.from_dataset(ois.objects[planned[1]["result"]["plan_uid"]])


def _record(plan, part, share, change=None):
    """What a good machine reports of a part that got `share` of every spot: noise of 0.15 mm."""
    rng = np.random.default_rng(part)

    def layer(beam, index, given):
        x, y = (np.asarray(v + rng.normal(0, 0.15, len(v)), np.float32) for v in (given.x, given.y))
        sizes = [np.full(len(x), fwhm / SIGMA, np.float32) for fwhm in (given.fwhm_x, given.fwhm_y)]
        mu = np.asarray(given.mu * share, np.float32)
        start = 10**18 + part * 10**13 + beam.number * 10**12 + index * 2 * 10**9
        found = LayerRecord(
            given.energy, x, y, mu, mu, *sizes, given.mu, start, start + 10**9,
            tune_id=given.tune_id,
        )  # fmt: skip
        return change(beam.number, index, found) if change else found

    beams = tuple(
        BeamRecord(b.number, b.name, b.gantry, b.couch, (0.0, 0.0, 0.0), b.snout_position, b.meterset,
                   tuple(layer(b, n, given) for n, given in enumerate(b.layers)),
                   "OPERATOR" if part == 1 and share < 1 else "NORMAL",
                   "TREATMENT" if part == 1 else "CONTINUATION")
        for b in plan.beams
    )  # fmt: skip
    begin = 10**18 + part * 10**13
    return TreatmentRecord(
        PATIENT, modules.new_uid(), plan.study_instance_uid, modules.new_uid(), plan.sop_instance_uid, 1,
        plan.fractions, part, plan.machine, beams, begin, begin + 4 * 10**12, ("thera",), "thera", 10.0,
        {"counts_per_mu": 20000.0, "k_tp": 1.02},
    )  # fmt: skip


def _reconstruct(service, ois, plan, records):
    datasets = [ion_record.to_dataset(record) for record in records]
    ois.add(*datasets)
    uids = [str(ds.SOPInstanceUID) for ds in datasets]
    ois.fractions = {1: uids}
    return service.run({"kind": "reconstruct", "plan_uid": plan.sop_instance_uid, "record_uids": uids})


def test_a_plan_is_made_and_stored(ois, case, service, planned, plan):
    job, state = planned
    result = state["result"]
    target = result["metrics"]["target"]
    assert target["prescription"] == 2.0
    assert target["d95"] >= 0.95 * 2.0 and target["d2"] <= 1.07 * 2.0
    assert result["metrics"]["organs"]["cord"]["mean"] < 0.5
    assert result["spots"] == sum(beam.spot_count for beam in plan.beams) > 100
    assert result["layers"] == sum(len(beam.layers) for beam in plan.beams)
    dose = rt_dose.from_dataset(ois.objects[result["dose_uid"]])
    # The plan finds its dose: each names the other, the dose is that of all fractions and came first.
    assert plan.dose_sop_instance_uid == dose.sop_instance_uid
    assert dose.plan_sop_instance_uid == plan.sop_instance_uid
    assert dose.summation == "PLAN" and dose.dose_type == "EFFECTIVE"
    assert np.quantile(dose.dose[dose.dose > 9.0], 0.5) == pytest.approx(10.0, rel=0.03)
    order = [ds.Modality for ds in ois.objects.values() if ds.Modality in ("RTDOSE", "RTPLAN")]
    assert order[:2] == ["RTDOSE", "RTPLAN"]
    assert (plan.patient, plan.machine, plan.fractions, plan.target) == (PATIENT, "PTCS-SYN-1", 5, "tumour")
    with service.client("therapist") as anybody:
        for name in ("dose_planes.png", "dvh.png"):
            assert anybody.download(f"/jobs/{job}/artefacts/{name}").startswith(b"\x89PNG")


def test_a_fraction_in_two_parts_is_reconstructed(ois, service, plan):
    records = [_record(plan, 1, 0.4), _record(plan, 2, 0.6)]
    job, state = _reconstruct(service, ois, plan, records)
    assert state["state"] == "DONE", state
    result = state["result"]
    assert result["failures"] == [] and result["passed"] is True
    assert result["gamma"]["pass_rate"] >= 99.0
    assert result["gamma"]["dose_percent"] == result["gamma"]["distance_mm"] == 2.0
    assert result["gamma"]["points"] > 1000
    assert 0.0 < result["centroid"]["mean_mm"] < 0.3
    assert result["meterset"]["max_relative_spot"] < 1e-5
    assert set(result["meterset"]["relative_beam"]) == {"1", "2"}
    assert result["metrics"]["target"]["d95"] >= 0.93 * 2.0
    dose = rt_dose.from_dataset(ois.objects[result["dose_uid"]])
    assert dose.summation == "FRACTION_SESSION"
    assert dose.plan_sop_instance_uid == plan.sop_instance_uid
    planned = rt_dose.from_dataset(ois.objects[plan.dose_sop_instance_uid])
    assert dose.dose.shape == planned.dose.shape and not np.array_equal(dose.dose, planned.dose / 5)
    with service.client() as client:
        for name in PICTURES:
            plain = client.download(f"/jobs/{job}/artefacts/{name}")
            english, chinese = (
                client.download(f"/jobs/{job}/artefacts/{name.removesuffix('.png')}-{code}.png")
                for code in ("en", "zh")
            )
            assert len(plain) > 10_000 and plain == english != chinese
        with pytest.raises(Refused, match="no such artefact"):
            client.download(f"/jobs/{job}/artefacts/state.json")


def test_the_dose_comes_from_the_record(ois, service, plan):
    """Half the metersets give half the dose, whatever the plan says."""
    _job, state = _reconstruct(service, ois, plan, [_record(plan, 1, 0.5)])
    result = state["result"]
    assert result["metrics"]["target"]["mean"] == pytest.approx(1.0, rel=0.02)
    assert result["passed"] is False


def _off(beam, index, layer):
    if (beam, index) != (1, 2):
        return layer
    x = layer.x.copy()
    x[len(x) // 2] += 3.0
    return replace(layer, x=x)


def _none(beam, index, layer):
    return replace(layer, mu=layer.mu * 0, secondary_mu=layer.mu * 0) if (beam, index) == (1, 2) else layer


@pytest.mark.parametrize(
    ("share", "change", "text"),
    [(1.0, _off, "off its place"), (1.05, _none, "no beam was delivered")],
)
def test_a_seeded_error_fails(ois, service, plan, share, change, text):
    _job, state = _reconstruct(service, ois, plan, [_record(plan, 1, share, change)])
    assert state["state"] == "DONE", state
    assert state["result"]["passed"] is False
    failures = state["result"]["failures"]
    assert any(text in failure for failure in failures), failures
    assert any("meterset +5.000 %" in failure for failure in failures) == (share > 1.0), failures


def test_a_fraction_that_does_not_belong_together_is_refused(ois, service, plan):
    before = len(ois.objects)
    stranger = replace(_record(plan, 1, 1.0), patient=replace(PATIENT, patient_id="P-99"))
    _job, state = _reconstruct(service, ois, plan, [stranger])
    assert state["state"] == "FAILED" and "patient" in state["error"]
    first, second = (ion_record.to_dataset(_record(plan, part, 0.5)) for part in (1, 2))
    ois.add(first, second)
    ois.fractions = {1: [str(first.SOPInstanceUID), str(second.SOPInstanceUID)]}
    request = {"kind": "reconstruct", "plan_uid": plan.sop_instance_uid}
    _job, state = service.run({**request, "record_uids": [str(first.SOPInstanceUID)]})
    assert state["state"] == "FAILED" and "name all of them" in state["error"]
    _job, state = service.run({**request, "record_uids": ["1.2.3"]})
    assert state["state"] == "FAILED" and "holds no treatment record" in state["error"]
    assert len(ois.objects) == before + 3  # what the test added, nothing from the service


@pytest.mark.requirement("TPS-BIO")
def test_a_variable_rbe_is_planned_and_reconstructed(ois, case, service):
    """The model, its set's version and alpha/beta go with plan and dose, and weigh the delivered dose."""
    ois.prescriptions["rx3"] = {**ois.prescriptions["rx"], "rbe_model": "McNamara"}
    request = {**REQUEST, "prescription_id": "rx3", "fields": REQUEST["fields"][:1], "tissues": {"tumour": 3}}
    _job, state = service.run({**request, "rbe_model": "McNamara"})
    assert state["state"] == "DONE", state
    result = state["result"]
    ratios = {"default": 10.0, "tumour": 3.0}
    wanted = {"model": "McNamara", "parameter_set": "proton-rbe", "version": "1.0", "alpha_beta": ratios}
    assert result["biology"] == wanted
    made = ion_plan.from_dataset(ois.objects[result["plan_uid"]])
    assert stated.read(parameters.load(), made.rbe_model).ratios == ratios
    dose = rt_dose.from_dataset(ois.objects[result["dose_uid"]])
    assert (dose.comment, dose.dose_type) == ("RBE model: McNamara, proton-rbe 1.0", "EFFECTIVE")
    assert result["metrics"]["target"]["mean"] == pytest.approx(2.0, rel=0.02)
    # at 2 Gy and alpha/beta 3 McNamara's RBE is 1.10 for 1 keV/um and 1.25 for 4.4: fewer protons do
    plain = {**request, "prescription_id": "rx"}
    _job, constant = service.run(plain)
    other = ion_plan.from_dataset(ois.objects[constant["result"]["plan_uid"]])
    assert constant["result"]["biology"]["alpha_beta"] == {}
    fewer = sum(beam.meterset for beam in made.beams) / sum(beam.meterset for beam in other.beams)
    assert 1.1 / 1.25 < fewer < 1.0
    _job, state = _reconstruct(service, ois, made, [_record(made, 1, 1.0)])
    assert state["state"] == "DONE", state
    assert state["result"]["metrics"]["target"]["mean"] == pytest.approx(2.0, rel=0.02)
    assert state["result"]["gamma"]["pass_rate"] > 99.0
    _job, state = service.run({**plain, "rbe_model": "Wedenberg"})
    assert state["state"] == "FAILED" and "prescribe it so" in state["error"]
    ois.prescriptions["rx3"]["rbe_model"] = "Nobody"
    _job, state = service.run(request)
    assert state["state"] == "FAILED" and "allowed are constant 1.1, McNamara" in state["error"]


def test_a_plan_that_cannot_be_made_stores_nothing(ois, case, service):
    before = len(ois.objects)
    ois.prescriptions["rx2"] = {**ois.prescriptions["rx"], "target": "nose"}
    for change, text in (
        ({"machine": "OTHER"}, "this site has PTCS-SYN-1"),
        ({"patient_id": "P-99"}, "not of one patient"),
        ({"prescription_id": "none"}, "no such prescription"),
        ({"prescription_id": "rx2"}, "nose"),
    ):
        _job, state = service.run({**REQUEST, **change})
        assert state["state"] == "FAILED" and text in state["error"], state
    ois.announce(port=1)
    try:
        _job, state = service.run(REQUEST)
    finally:
        ois.announce()
    assert state["state"] == "FAILED" and "does not answer" in state["error"]
    assert len(ois.objects) == before


def test_an_ois_that_takes_no_plan_is_told(ois, case, service):
    ois.refuse = "RTPLAN"
    try:
        _job, state = service.run({**REQUEST, "fields": REQUEST["fields"][:1]})
    finally:
        ois.refuse = ""
    assert state["state"] == "FAILED" and state["result"] is None
    assert "post the job again" in state["error"] and "shelf is full" in state["error"]


def test_who_may_post(ois, service):
    with service.client("therapist") as therapist, pytest.raises(Unauthorised, match="physicist"):
        therapist.post("/jobs", REQUEST)
    with JsonClient(service.url) as nobody, pytest.raises(Unauthorised, match="log in"):
        nobody.get("/jobs/x")
    old = ois.token("physicist", at=datetime.now(UTC) - timedelta(days=1))
    with service.client(token=old) as late, pytest.raises(Unauthorised, match="expired"):
        late.post("/jobs", REQUEST)
    with service.client() as client:
        with pytest.raises(Refused, match="no such job"):
            client.get("/jobs/x")
        with pytest.raises(Refused, match="fields"):
            client.post("/jobs", {**REQUEST, "fields": []})
        with pytest.raises(Refused, match="kind"):
            client.post("/jobs", {"kind": "conquer"})


def test_the_log_names_no_patient(ois, service, planned):
    log = (ois.state.root / "tps.log").read_text()
    assert "done" in log
    assert PATIENT.patient_id not in log and "Wendy" not in log
    assert not list((ois.state.root / "tps").rglob("*token*"))
    assert ois.token("physicist")[:20] not in "".join(
        path.read_text() for path in (ois.state.root / "tps").rglob("*.json")
    )


def test_it_answers_while_it_computes_and_remembers_after_kill_and_stop(ois, case, service, planned):
    with service.client() as client:
        job = client.post("/jobs", REQUEST)["id"]
        seen = set()
        while (state := client.get(f"/jobs/{job}"))["state"] != "RUNNING":
            time.sleep(0.01)
        seen.add(state["state"])
        waiting = client.post("/jobs", REQUEST)["id"]
        service.end(signal.SIGKILL)
    again = Service(ois)
    try:
        with again.client() as client:
            for unfinished in (job, waiting):
                state = client.get(f"/jobs/{unfinished}")
                assert state["state"] == "FAILED" and "post it again" in state["error"]
            assert client.get(f"/jobs/{planned[0]}")["result"] == planned[1]["result"]
            running = client.post("/jobs", REQUEST)["id"]
        assert again.end() == 0
        assert not ois.state.run_file("tps").exists()
        assert read_json(ois.state.root / "tps" / "jobs" / running / "state.json")["state"] == "FAILED"
    finally:
        again.process.kill()
        again.process.wait()


def test_a_bad_start_is_told(tmp_path, service):
    command = [sys.executable, "-m", "tps_engine.service", "--state", str(tmp_path)]
    port = service.url.split(":")[2].split("/")[0]
    if service.process.poll() is None:
        taken = subprocess.run(
            [*command, "--port", port], check=False, capture_output=True, text=True, timeout=60
        )
        assert taken.returncode == 3 and "port" in taken.stderr
    missing = subprocess.run(
        [*command, "--site", str(tmp_path / "no.yaml")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert missing.returncode == 2 and "no.yaml" in missing.stderr
    assert not (tmp_path / "run").exists()
