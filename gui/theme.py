"""Colours and type of the panels. A state is always a word and a symbol; colour only repeats it."""

from dataclasses import dataclass

INK, PAPER, PANEL, LINE, FAINT = "#e8edf2", "#10161d", "#1a222c", "#2e3a47", "#8fa0b2"
GREEN, AMBER, RED, BLUE, GREY = "#4cc38a", "#f0b429", "#ff6b6b", "#5fb0ff", "#8fa0b2"


@dataclass(frozen=True)
class Mark:
    """How a condition is shown: symbol and colour; the word comes from the catalogue."""

    symbol: str
    colour: str


IDLE, GOOD, BUSY, BEAM, HELD, BAD = (
    Mark("○", GREY),
    Mark("✔", GREEN),
    Mark("◔", BLUE),
    Mark("☢", AMBER),
    Mark("❚❚", AMBER),
    Mark("✘", RED),
)

STYLE = f"""
QWidget {{
  background: {PAPER}; color: {INK}; font-size: 14px;
  font-family: "Noto Sans CJK SC", "Noto Sans", sans-serif;
}}
QFrame#card {{ background: {PANEL}; border: 1px solid {LINE}; border-radius: 8px; }}
QFrame#card QLabel {{ background: transparent; }}
QLabel#caption {{ color: {FAINT}; font-size: 12px; }}
QLabel#value {{ font-size: 18px; font-weight: 600; }}
QLabel#big {{ font-size: 30px; font-weight: 700; }}
QLabel#banner {{ font-size: 22px; font-weight: 700; padding: 10px 16px; border-radius: 8px; }}
QPushButton {{
  background: {LINE}; border: 2px solid transparent; border-radius: 8px;
  padding: 12px 18px; font-size: 16px; font-weight: 600;
}}
QPushButton:focus {{ border-color: {BLUE}; }}
QPushButton:disabled {{ color: #5b6876; background: {PANEL}; }}
QPushButton#start:enabled, QPushButton#resume:enabled {{ background: #1f6f4a; }}
QPushButton#interrupt:enabled {{ background: #8a6410; }}
QPushButton#terminate:enabled {{ background: #8f2d2d; }}
QProgressBar {{ background: {LINE}; border: none; border-radius: 5px; height: 10px; text-align: center; }}
QProgressBar::chunk {{ background: {BLUE}; border-radius: 5px; }}
QLineEdit {{ background: {PAPER}; border: 1px solid {LINE}; border-radius: 6px; padding: 8px; }}
QStatusBar {{ color: {FAINT}; }}
QCheckBox {{ spacing: 8px; padding: 2px 18px 2px 2px; }}
QCheckBox::indicator, QTableView::indicator {{
  width: 13px; height: 13px; border: 1px solid {FAINT}; border-radius: 3px; background: {PAPER}; }}
QCheckBox::indicator:checked, QTableView::indicator:checked {{ background: {INK}; border: 3px solid {BLUE}; }}
QCheckBox::indicator:focus {{ border-color: {BLUE}; }}
QCheckBox:disabled {{ color: #5b6876; }}
"""
