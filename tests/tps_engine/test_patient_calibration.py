"""Stoichiometric calibration: computed tissues, a scanner fitted back, tables written and imported."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from common.errors import BadConfig, BadInput
from ptcs.ct_calibration_command import ct_calibration
from tps_engine.patient import calibration_file, composition, stoichiometric, stopping_power
from tps_engine.patient.composition import library, material

SCHNEIDER = (3.06e-5, 1.24e-3)
"""k photo-electric and coherent of Schneider, Bortfeld and Schlegel (2000)."""


def measurements(path, noise=3.0, **changes):
    """A file of inserts measured on a scanner of known cross-sections."""
    random = np.random.default_rng(5)
    names = [n for n in library().substitutes if n not in ("polyethylene", "polystyrene")]
    rows = [
        {"name": n, "sd": 3.0, "hu": round(float(value + random.normal(0.0, noise)), 2)}
        for n in names
        for value in [stoichiometric.hounsfield(library().substitutes[n], *SCHNEIDER)]
    ]
    content = {
        "format": 1, "name": "test-scanner", "version": "2026-11", "scanner": "Simulated", "kv": 120,
        "date": "2026-11-22", "author": "physicist", "inserts": rows,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path


@pytest.mark.requirement("TPS-MODEL")
def test_stopping_power_of_reference_tissues_as_published():
    """Relative electron densities and stopping powers of Schneider, Pedroni and Lomax (1996), table 2."""
    published = {
        "adipose-high-fat": (0.933, 0.952), "adipose-low-fat": (0.970, 0.984), "muscle": (1.040, 1.041),
        "liver": (1.050, 1.050), "cartilage": (1.083, 1.078), "spongiosa": (1.150, 1.144),
        "cranium": (1.517, 1.463), "cortical-bone": (1.781, 1.693),
    }  # fmt: skip
    for name, (electrons, power) in published.items():
        tissue = library().tissues[name]
        assert tissue.relative_electron_density() == pytest.approx(electrons, abs=0.002)
        assert tissue.relative_stopping_power() == pytest.approx(power, abs=0.003)
    assert library().tissues["cortical-bone"].mean_excitation_ev == pytest.approx(112.0, abs=0.5)
    bone = library().tissues["cortical-bone"]
    at = [bone.relative_stopping_power(energy=energy) for energy in (70.0, 230.0)]
    assert abs(at[0] / at[1] - 1.0) < 0.01
    assert composition.water().relative_stopping_power() == 1.0


@pytest.mark.requirement("TPS-MODEL")
def test_ct_numbers_of_tissues_as_published():
    """CT numbers of Schneider, Bortfeld and Schlegel (2000), table 3, on their scanner."""
    published = {"lung-inflated": -741, "adipose-high-fat": -98, "muscle": 43, "cartilage": 102,
                 "cortical-bone": 1524}  # fmt: skip
    for name, hu in published.items():
        assert stoichiometric.hounsfield(library().tissues[name], *SCHNEIDER) == pytest.approx(hu, abs=4.0)


@pytest.mark.requirement("TPS-PHYSICS")
def test_a_scanner_is_fitted_back_from_noisy_inserts(tmp_path):
    found = calibration_file.fit(measurements(tmp_path / "inserts.yaml"))
    photo, coherent = found.scanner.k_photo, found.scanner.k_coherent
    assert photo == pytest.approx(SCHNEIDER[0], abs=3.0 * found.scanner.errors[0])
    assert coherent == pytest.approx(SCHNEIDER[1], abs=3.0 * found.scanner.errors[1])
    assert found.scanner.rms < 5.0
    assert found.scanner.warnings() == ()
    # the numbers that matter: tissues' CT numbers and stopping power, and the table through them
    for name, (hu, power, miss) in found.curve.tissues.items():
        right = composition.water() if name == "water" else library().tissues[name]
        assert hu == pytest.approx(stoichiometric.hounsfield(right, *SCHNEIDER), abs=12.0)
        assert abs(miss) < 0.025 * max(power, 1.0)
    typical = [abs(m / p) for n, (_h, p, m) in found.curve.tissues.items() if n not in ("air",)]
    assert np.median(typical) < 0.003
    assert (np.diff(found.curve.rsp) >= 0.0).all()
    assert (np.diff(found.curve.density) >= 0.0).all()


@pytest.mark.requirement("TPS-PHYSICS")
def test_a_wrong_insert_is_named_and_unusable_sets_are_refused(tmp_path):
    path = measurements(tmp_path / "inserts.yaml")
    content = yaml.safe_load(path.read_text())
    content["inserts"][6]["hu"] += 150.0
    path.write_text(yaml.safe_dump(content))
    assert any(
        content["inserts"][6]["name"] in text for text in calibration_file.fit(path).scanner.warnings()
    )

    few = [row for row in content["inserts"] if row["name"] in ("LN-450", "CB2-30", "AP6-adipose", "PMMA")]
    few[1]["hu"] += 20.0
    path.write_text(yaml.safe_dump(content | {"inserts": few}))
    assert any("not determined" in text for text in calibration_file.fit(path).scanner.warnings())

    def refused(error, says, **changes):
        with pytest.raises(error, match=says):
            calibration_file.fit(measurements(tmp_path / "bad.yaml", **changes))

    rows = content["inserts"]
    refused(BadConfig, "inserts", inserts=rows[:3])
    refused(BadInput, "each named once", inserts=[*rows[:4], rows[0]])
    refused(BadInput, "measure a bone insert", inserts=[row for row in rows if row["name"] in
            ("water", "LN-300", "LN-450", "AP6-adipose", "SR2-brain", "PMMA")])  # fmt: skip
    refused(BadInput, "no material named unobtainium", inserts=[*rows[:4], {"name": "unobtainium", "hu": 1}])
    refused(
        BadInput, "need its density", inserts=[*rows[:4], {"name": "own", "hu": 1, "fractions": {"H": 1}}]
    )
    refused(BadInput, "no element Xx", inserts=[*rows[:4], {"name": "own", "hu": 1, "density": 1.0,
            "fractions": {"Xx": 1}}])  # fmt: skip
    refused(BadInput, "allowed are -1100 to 4000", inserts=[*rows[:4], {"name": "PMMA", "hu": 9000}])
    with pytest.raises(BadInput, match="a sum of 1"):
        material("half", 1.0, {"H": 0.5})


@pytest.mark.requirement("TPS-PHYSICS")
def test_command_writes_a_versioned_table_that_loads(tmp_path):
    out = tmp_path / "test-scanner.yaml"
    inserts = measurements(tmp_path / "inserts.yaml")
    result = CliRunner().invoke(ct_calibration, ["fit", str(inserts), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "cortical-bone" in result.output
    table = stopping_power.load(out)
    assert (table.name, table.version) == ("test-scanner", "2026-11")
    assert table.provenance["k_photo"] == pytest.approx(SCHNEIDER[0], rel=0.1)
    assert len(table.provenance["inputs_sha256"]) == 64
    hu = np.array([-1000.0, -98.0, 43.0, 1524.0], dtype=np.float32)
    assert table.relative_stopping_power(hu) == pytest.approx([0.0011, 0.952, 1.041, 1.694], abs=0.012)
    assert table.mass_density(hu) == pytest.approx([0.0012, 0.93, 1.05, 1.92], abs=0.02)
    assert table.of_density(1.92) == pytest.approx(1.694, abs=0.01)
    assert CliRunner().invoke(ct_calibration, ["show", str(out)]).output.startswith("test-scanner 2026-11")
    with pytest.raises(BadInput, match=r"is a \.yaml file"):
        calibration_file.write({}, tmp_path / "table.txt")


@pytest.mark.requirement("TPS-PHYSICS")
def test_mcsquare_tables_are_imported(shared_data, tmp_path):
    folder = shared_data / "mcsquare_bdl" / "Scanners" / "UCL_Toshiba"
    out = tmp_path / "ucl.yaml"
    arguments = ["import", str(folder), "--name", "ucl-toshiba", "--out", str(out)]
    result = CliRunner().invoke(ct_calibration, arguments)
    assert result.exit_code == 0, result.output
    table = stopping_power.load(out)
    hu = np.array([-1000.0, -97.0, 0.0, 1046.0], dtype=np.float32)
    assert table.mass_density(hu) == pytest.approx([0.001, 0.942, 1.0, 1.56], abs=1e-3)
    assert table.relative_stopping_power(hu) == pytest.approx([0.0009, 0.964, 1.004, 1.416], abs=0.003)
    names = [table.materials[k][1].name for k in table.material_numbers(hu)]
    assert names == ["Schneider_Air", "Schneider_AT_AG_SI1", "Schneider_AT_AG_SI4", "Schneider_Marrow_Bone10"]
    with pytest.raises(BadInput, match="cannot read"):
        calibration_file.from_mcsquare(tmp_path, "x")


@pytest.mark.requirement("TPS-MODEL")
def test_values_outside_the_table_are_counted_and_clamped_or_refused():
    table = stopping_power.load()
    hu = np.array([-3024.0, -1100.0, 0.0, 3071.0, 4095.0], dtype=np.float32)
    assert table.beyond(hu) == (2, 1)
    assert table.relative_stopping_power(hu)[[0, -1]] == pytest.approx([0.0011, 2.47])
    with pytest.raises(BadInput, match=r"3 CT values lie outside table generic-120kv \(-1024 to 3071 HU\)"):
        table.relative_stopping_power(hu, outside="refuse")
    with pytest.raises(BadInput, match="clamp and refuse"):
        table.relative_stopping_power(hu, outside="ignore")
    names = [table.materials[k][1].name for k in table.material_numbers(np.array([-2000.0, 50.0, 2500.0]))]
    assert names == ["Schneider_Air", "Schneider_SoftTissus", "Schneider_Marrow_Bone15"]
