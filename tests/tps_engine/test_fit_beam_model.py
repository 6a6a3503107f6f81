"""Beam models fitted to measurements: simulated from known models, and by the Monte Carlo engine."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from montecarlo_beams import run, slabs

from common.errors import BadConfig, BadInput, Tampered
from ptcs.beam_model_command import beam_model
from tps_engine.beamdata import identity, model
from tps_engine.beamdata.bragg import HaloParameters
from tps_engine.beamdata.fit import depth, fitting, measurements, predict, simulate
from tps_engine.beamdata.importers import common as importers
from tps_engine.beamdata.importers import dcpt

GENERIC = model.load("proton-generic")
SOME = [float(GENERIC.energies[k]) for k in np.linspace(0, 96, 7).astype(int)]


def fitted(path, tmp_path):
    result = fitting.fit(measurements.load(path))
    return result, importers.write_checked(result.content, tmp_path / "fitted.yaml")


@pytest.mark.requirement("TPS-PHYSICS")
def test_the_model_behind_noisy_measurements_is_found(tmp_path):
    """0.5 % noise: range within 0.05 mm, spread 0.03 MeV, size 1 %, protons per MU 1.5 % at every energy."""
    head = {"energies": [float(value) for value in GENERIC.energies]}
    result, found = fitted(simulate.write(tmp_path, GENERIC, SOME, noise=0.005, head=head), tmp_path)
    at = GENERIC.energies
    assert found.energies == pytest.approx(at)
    ranges = GENERIC.water.range_of
    assert ranges(found.mean_energy) == pytest.approx(ranges(GENERIC.mean_energy), abs=0.05)
    assert found.spread == pytest.approx(GENERIC.spread, abs=0.03)
    assert found.sigma == pytest.approx(GENERIC.sigma, rel=0.01)
    assert found.protons_per_mu == pytest.approx(GENERIC.protons_per_mu, rel=0.015)
    assert all(row.good for row in result.residuals)
    for fit in result.energies:
        true = GENERIC.index_of(fit.energy)
        assert abs(fit.mean - GENERIC.mean_energy[true]) < 5.0 * fit.mean_error
        assert abs(fit.spread - GENERIC.spread[true]) < 5.0 * fit.spread_error
        for axis in (0, 1):
            a, b, c = simulate.moments(GENERIC, fit.energy)[axis]
            off = np.abs(np.array(fit.axes[axis].moments) - (a, b, c))
            assert (off < 5.0 * fit.axes[axis].errors).all()


@pytest.mark.requirement("TPS-PHYSICS")
def test_correlated_beams_through_air_come_back(tmp_path, shared_data):
    """The DCPT gantry: optics 500 mm upstream, converging and diverging, air from there."""
    table = shared_data / "ion_plans_dcpt" / "dcpt_beam_model" / "DCPT_beam_model__v2.csv"
    true = importers.write(dcpt.read(table), tmp_path / "dcpt.yaml")
    some = [float(true.energies[k]) for k in np.linspace(0, len(true.energies) - 1, 6).astype(int)]
    head = {
        "reference_plane_mm": float(true.air_from), "air": True, "energy_selection": "continuous",
        "start": str(tmp_path / "dcpt.yaml"), "mean_excitation_ev": dcpt.EXCITATION_EV,
    }  # fmt: skip
    result, _ = fitted(simulate.write(tmp_path / "m", true, some, noise=1e-4, head=head), tmp_path)
    for fit in result.energies:
        at = np.array([fit.energy])
        assert fit.mean == pytest.approx(float(true.at(at, true.mean_energy)[0]), abs=0.02)
        assert fit.protons == pytest.approx(float(true.at(at, true.protons_per_mu)[0]), rel=0.005)
        for axis in (0, 1):
            a, b, c = simulate.moments(true, fit.energy)[axis]
            for height in (-200.0, 0.0, 300.0, 500.0):
                wanted = float(predict.variance((a, b, c), height))
                assert float(predict.variance(fit.axes[axis].moments, height)) == pytest.approx(
                    wanted, rel=0.02
                )


@pytest.mark.slow
@pytest.mark.requirement("TPS-PHYSICS")
def test_depth_dose_of_the_monte_carlo_engine_gives_its_energy_back():
    """Energy spread 0.8 MeV at 150 MeV: range within 0.6 mm, spread within 0.35 MeV of what was simulated."""
    beam = replace(GENERIC, divergence=0.0 * GENERIC.divergence, spread=np.full_like(GENERIC.spread, 0.8))
    dose = run(slabs(depth=220.0), 150.0, 20_000, beam).dose_to_water.ravel().astype(float)
    place = np.arange(len(dose)) + 0.5
    physics = depth.Physics(GENERIC.water, GENERIC.depth_dose, None)
    curve = measurements.DepthDose(150.0, 500.0, 0.0, place[2:], dose[2:])
    spot = ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    found = depth.energy_of(physics, [curve], spot)
    ranges = GENERIC.water.range_of
    assert float(ranges(found.mean)) == pytest.approx(float(ranges(150.0)), abs=0.6)
    assert found.spread == pytest.approx(0.8, abs=0.35)
    assert depth.residual(physics, curve, spot, found).rms < 0.03


@pytest.mark.requirement("TPS-PHYSICS")
def test_halo_and_nuclear_parameters_come_from_two_chambers(tmp_path):
    halo = HaloParameters(0.12, 0.75, 20.0, 0.45, 0.28)
    parameters = replace(GENERIC.depth_dose, fluence_loss_per_cm=0.016)
    true = replace(GENERIC, halo=halo, depth_dose=parameters)
    start = yaml.safe_load((model.CONFIG / "beam_models" / "proton-generic.yaml").read_text())
    start["nuclear_halo"] = dict(importers.NUCLEAR_HALO)
    (tmp_path / "start.yaml").write_text(yaml.safe_dump(start))
    names = ["fluence_loss_per_cm", "halo_weight", "halo_sigma_mm"]
    head = {"fitted": names, "start": str(tmp_path / "start.yaml")}
    path = simulate.write(tmp_path / "m", true, [100.4, 150.0, 200.3], radii=(15.0, 40.8), head=head)
    common = fitting.fit(measurements.load(path)).common
    assert common["fluence_loss_per_cm"][0] == pytest.approx(0.016, rel=0.03)
    assert common["halo_weight"][0] == pytest.approx(0.12, rel=0.05)
    assert common["halo_sigma_mm"][0] == pytest.approx(20.0, rel=0.05)


@pytest.mark.requirement("TPS-PHYSICS")
@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("profiles.csv", lambda text: text.replace(",x,", ",q,", 1), "line 2: axis 'q': allowed are x and y"),
        (
            "profiles.csv",
            lambda text: text.replace("71.3,y,", "72.8,y,"),
            "71.3 MeV has no spot profile in y",
        ),
        ("absolute.csv", lambda text: text.replace(",20,", ",nan,", 1), "allowed are finite numbers"),
        ("absolute.csv", lambda text: text.replace(",20,", ",60,", 1), "allowed is the plateau"),
        ("depth-doses-1.csv", lambda text: text[: len(text) // 6], "the curve ends above half its maximum"),
        ("measurements.yaml", lambda text: text.replace("minimum_mu", "least_mu"), "minimum_mu"),
    ],
)
def test_unusable_measurements_are_refused_with_their_place(tmp_path, file, change, said):
    path = simulate.write(tmp_path, GENERIC, SOME[:3])
    (tmp_path / file).write_text(change((tmp_path / file).read_text()))
    with pytest.raises((BadInput, BadConfig), match=said):
        fitting.fit(measurements.load(path))


@pytest.mark.requirement("TPS-PHYSICS")
def test_a_bad_curve_is_named_in_a_warning(tmp_path):
    path = simulate.write(tmp_path, GENERIC, SOME[:4])
    lines = (tmp_path / "depth-doses-1.csv").read_text().splitlines()
    energy = f"{SOME[1]:g},"
    lines = [
        f"{line.rpartition(',')[0]},{float(line.rpartition(',')[2]) * (1.2 if k % 2 else 0.8):g}"
        if line.startswith(energy) else line
        for k, line in enumerate(lines)
    ]  # fmt: skip
    (tmp_path / "depth-doses-1.csv").write_text("\n".join(lines) + "\n")
    warnings = fitting.fit(measurements.load(path)).warnings
    assert any(f"depth dose of {SOME[1]:g} MeV" in text for text in warnings)


@pytest.mark.requirement("TPS-PHYSICS")
def test_the_command_fits_shows_approves_and_compares(tmp_path):
    path, out = simulate.write(tmp_path, GENERIC, SOME[:4], noise=0.002), tmp_path / "new.yaml"

    def call(*words):
        return CliRunner().invoke(beam_model, [str(word) for word in words], catch_exceptions=False)

    assert call("fit", path, "--out", out, "--report", tmp_path / "report.html").exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page
    digest = identity.digest(yaml.safe_load(out.read_text()))
    assert digest in page
    assert call("approve", out, "--name", "A. Physicist", "--date", "2026-01-02").exit_code == 0
    shown = "".join(call("show", out).output.split())
    assert "A.Physicist,2026-01-02" in shown
    assert model.load(out).name == "proton-generic-fitted"
    compared = call("compare", "proton-generic", out).output
    assert "range" in compared
    assert "approved.name" in compared
    assert "the same content" in call("compare", out, out).output
    out.write_text(out.read_text().replace("minimum_mu: 0.02", "minimum_mu: 0.01"))
    with pytest.raises(Tampered, match=r"not what A\. Physicist approved"):
        model.load(out)
