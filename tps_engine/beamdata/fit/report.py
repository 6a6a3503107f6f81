"""The report of a fit: one page of pictures, tables of parameters and residuals, as HTML."""

import base64
from html import escape

import numpy as np
from matplotlib.figure import Figure

from common.text import _, language
from tps_engine.beamdata import identity
from tps_engine.beamdata.fit.result import FitResult, Residual
from tps_engine.evaluate.drawing import BLUE, RED, render

_STYLE = (
    "@page{size:A4;margin:15mm}body{font:10pt 'DejaVu Sans','Noto Sans CJK SC',sans-serif;color:#1b2733}"
    "h1{font-size:16pt}h2{font-size:12pt;margin-top:6mm}table{border-collapse:collapse;font-size:8pt}"
    "td,th{border-bottom:1px solid #dfe5ea;padding:1mm 2mm;text-align:right}td:first-child,th:first-child"
    "{text-align:left}.bad{color:#d55e00;font-weight:bold}img{width:100%}"
)


def html(result: FitResult) -> str:
    """The report as one HTML text without outside references, in the language in force."""
    head = result.measurements.head
    title = _("Beam model fitted from measurements")
    facts = [
        (_("name"), head["name"]), (_("version"), head["version"]), (_("author"), head["author"]),
        (_("date"), head["date"]), ("SHA-256", identity.digest(result.content)),
    ]  # fmt: skip
    picture = base64.b64encode(figure(result)).decode()
    warnings = "".join(f"<li class=bad>{escape(text)}</li>" for text in result.warnings)
    return (
        f'<!doctype html><html lang="{language()}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        + _table([_("entry"), ""], [[name, str(value)] for name, value in facts])
        + f"<h2>{_('Warnings')}</h2>"
        + (f"<ul>{warnings}</ul>" if warnings else f"<p>{_('none')}</p>")
        + f"<h2>{_('Parameters, with one standard deviation')}</h2>{_parameters(result)}{_common(result)}"
        + f"<h2>{_('Smooth curves over energy')}</h2>{_curves(result)}"
        + f'<img alt="{_("fit and residuals")}" src="data:image/png;base64,{picture}">'
        + f"<h2>{_('Residuals of every measurement')}</h2>{_residuals(result)}"
        + f"<p>{_('Research software, not a medical device.')}</p></body></html>"
    )


def figure(result: FitResult) -> bytes:
    """PNG: depth doses with their residuals, profiles with theirs, and every parameter over energy."""
    return render(9.0, 10.0, lambda canvas: _draw(canvas, result))


def _draw(canvas: Figure, result: FitResult) -> None:
    rows = canvas.subplots(3, 2)
    for row, kind, name in ((0, "depth dose", _("depth (mm)")), (1, "profile", _("position (mm)"))):
        left, right = rows[row]
        for one in (part for part in result.residuals if part.kind == kind):
            colour = BLUE if one.good else RED
            left.plot(one.x, one.measured, ".", ms=2, color=colour)
            left.plot(one.x, one.fitted, lw=0.6, color="#1b2733")
            right.plot(one.x, 100.0 * (one.measured - one.fitted), lw=0.6, color=colour)
        left.set(xlabel=name, ylabel=_("relative reading"), title=_("measured and fitted"))
        right.set(xlabel=name, ylabel="%", title=_("measured minus fitted"))
    for place, name in zip(rows[2], ("range", "sigma x"), strict=True):
        curve = next(part for part in result.interpolations if part.name == name)
        place.plot(curve.energy, curve.values, "o", color=BLUE)
        place.plot(curve.energy, curve.smooth, lw=1.0, color=RED)
        unit = "mm"
        title = _("range less that of the nominal energy") if name == "range" else _("spot sigma x")
        place.set(xlabel=_("energy (MeV)"), ylabel=unit, title=title)


def _parameters(result: FitResult) -> str:
    rows = []
    for fit in result.energies:
        sizes = [float(np.sqrt(max(axis.moments[0], 0.0))) for axis in fit.axes]
        errors = [
            0.5 * float(axis.errors[0]) / max(size, 1e-9) for axis, size in zip(fit.axes, sizes, strict=True)
        ]
        spreads = [1000.0 * float(np.sqrt(max(axis.moments[2], 0.0))) for axis in fit.axes]
        rows.append([
            f"{fit.energy:g}", f"{fit.mean:.3f} ± {fit.mean_error:.3f}",
            f"{fit.spread:.3f} ± {fit.spread_error:.3f}",
            *(f"{size:.3f} ± {error:.3f}" for size, error in zip(sizes, errors, strict=True)),
            *(f"{value:.2f}" for value in spreads), f"{fit.protons:.4g} ± {fit.protons_error:.2g}",
        ])  # fmt: skip
    heads = [
        _("energy (MeV)"), _("mean energy (MeV)"), _("spread (MeV)"), _("sigma x (mm)"), _("sigma y (mm)"),
        _("divergence x (mrad)"), _("divergence y (mrad)"), _("protons per MU"),
    ]  # fmt: skip
    return _table(heads, rows)


def _common(result: FitResult) -> str:
    rows = [[name, f"{value:.4g} ± {error:.2g}"] for name, (value, error) in result.common.items()]
    return _table([_("common to all energies"), ""], rows) if rows else ""


def _curves(result: FitResult) -> str:
    rows = [
        [row.name, f"{row.deviation:.3g} {row.unit}", f"{row.limit:g} {row.unit}", _verdict(row.good)]
        for row in result.interpolations
    ]
    return _table([_("parameter"), _("largest deviation"), _("limit"), ""], rows)


def _residuals(result: FitResult) -> str:
    def line(row: Residual) -> list[str]:
        return [row.name, f"{100 * row.rms:.2f}", f"{100 * row.worst:.2f}", _verdict(row.good)]

    return _table(
        [_("measurement"), _("root mean square (%)"), _("largest (%)"), ""],
        [line(row) for row in result.residuals],
    )


def _verdict(good: bool) -> str:
    return _("good") if good else _("look")


def _table(heads: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"
