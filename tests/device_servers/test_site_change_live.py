"""A site is changed under a running facility: checked, compared, applied, and in force after a new start."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tango
import yaml
from click.testing import CliRunner
from test_maintenance_cli import Terminal

from common import site as sites
from common.state import StateDir
from ptcs.site_command import site as site_command

MAGNET, NEW = "acs/magnet/ring-dipole", "acs/diag/second-dcct"


class Changed(Terminal):
    """Somebody who changes the site of a facility."""

    def __init__(self, state: Path, folder: Path) -> None:
        super().__init__(state)
        shutil.copytree(sites.CONFIG, folder)
        self.file = folder / "demo.yaml"

    def change(self, limit: float, *, more: bool) -> None:
        """Another limit of the magnet; `more`: one device more, a copy of the transformer."""
        content = yaml.safe_load((sites.CONFIG / "demo.yaml").read_text())
        for device in list(content["devices"]):
            if device["name"] == MAGNET:
                device["limits"]["current"] = [0, limit]
            if device["class"] == "CurrentTransformer" and more:
                content["devices"].append({**device, "name": NEW, "wire": "second"})
        self.file.write_text(yaml.safe_dump(content))

    def limits(self) -> tuple[str, str]:
        shown = self.proxy(MAGNET).get_attribute_config("CurrentSetpoint")
        return shown.min_value, shown.max_value

    def proxy(self, device: str) -> tango.DeviceProxy:
        return tango.DeviceProxy(
            f"tango://127.0.0.1:{StateDir(self.state).endpoint('database')['port']}/{device}"
        )

    def up(self) -> None:
        done = self.run("up", "--detach", "--site", str(self.file))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changed]:
    folder = tmp_path_factory.mktemp("site")
    terminal = Changed(folder / "state", folder / "config")
    try:
        terminal.change(1500.0, more=False)
        terminal.up()
        yield terminal
    finally:
        terminal.run("down")


@pytest.mark.slow
@pytest.mark.requirement("ACS-SUPERVISE")
def test_limit_and_device_are_compared_applied_and_shown(here: Changed) -> None:
    assert here.run("site", "diff", str(here.file)).returncode == 0 and here.limits() == ("0.0", "1500.0")
    here.change(1200.0, more=True)
    told = here.run("site", "diff", str(here.file))
    assert told.returncode == 1 and f"+ device {NEW}" in told.stdout, told.stdout
    assert "current 0 1500" in told.stdout and "current 0 1200" in told.stdout
    done = here.run("site", "apply", str(here.file), "--yes")
    assert done.returncode == 0 and "ptcs down" in done.stdout, done.stdout + done.stderr
    assert here.run("site", "diff", str(here.file)).returncode == 0
    assert here.limits() == ("0.0", "1500.0")  # what runs has read the file before
    assert here.run("down").returncode == 0
    here.up()
    assert here.limits() == ("0.0", "1200.0")
    assert here.proxy(NEW).state() == tango.DevState.ON
    with pytest.raises(tango.DevFailed) as caught:
        here.proxy(MAGNET).CurrentSetpoint = 1300.0
    assert caught.value.args[0].reason == "API_WAttrOutsideLimit"
    here.change(1200.0, more=False)
    gone = here.run("site", "apply", str(here.file), "--yes")
    assert f"- device {NEW}" in gone.stdout, gone.stdout + gone.stderr
    assert here.run("site", "diff", str(here.file)).returncode == 0


@pytest.mark.slow
@pytest.mark.requirement("ACS-SUPERVISE")
def test_a_malformed_file_is_refused_with_its_line_and_changes_nothing(here: Changed) -> None:
    good = here.file.read_text()
    bad = good.replace("class: VacuumGauge", "class: VacumGauge", 1)
    line = bad[: bad.index("VacumGauge")].count("\n") + 1
    here.file.write_text(bad)
    told = CliRunner().invoke(site_command, ["check", str(here.file)])
    assert told.exit_code == 1 and "VacumGauge" in told.output, told.output
    assert any(abs(int(n) - line) < 10 for n in re.findall(r"line (\d+)", told.output)), (line, told.output)
    refused = here.run("site", "apply", str(here.file), "--yes")
    assert refused.returncode == 1 and "findings" in refused.stderr, refused.stderr
    here.file.write_text(good.replace("devices:", "devices: [", 1))
    broken = here.run("site", "apply", str(here.file), "--yes", language="zh")
    assert broken.returncode == 1 and re.search(r"demo\.yaml line \d+", broken.stderr), broken.stderr
    here.file.write_text(good)
    assert here.run("site", "diff", str(here.file)).returncode == 0
