"""Words and style that the generated pages share; every word in both languages."""

from html import escape

from interlock.table import Family, Kind, Latch, Text

STYLE = """
body { font: 15px/1.45 system-ui, "Noto Sans CJK SC", sans-serif; margin: 2rem; color: #1b1f24; }
table { border-collapse: separate; border-spacing: 0; margin: 1rem 0 2rem; }
th, td { border: 1px solid #d5dae1; padding: .3rem .6rem; text-align: left; vertical-align: top; }
thead th { background: #eef1f5; position: sticky; top: 0; z-index: 2; }
small { display: block; color: #57606a; }
code { display: block; font-size: 13px; }
span[lang=zh] { display: block; color: #3d4650; font-weight: 400; }
li code, p code { display: inline; }
"""

WORDS: dict[Family | Latch | Kind, Text] = {
    Family.PATIENT: Text("Patient: delivery as planned", "患者:按计划照射"),
    Family.PERSONNEL: Text("Personnel: nobody where beam is", "人身:辐射区无人"),
    Family.EQUIPMENT: Text("Equipment: the machine can make and carry beam", "设备:可产生并输运束流"),
    Latch.ALWAYS: Text("always", "总是锁存"),
    Latch.ARMED: Text("while beam is requested", "束流申请期间锁存"),
    Latch.NEVER: Text("no", "不锁存"),
    Kind.REQUEST: Text("request", "申请"),
    Kind.KEY: Text("key", "钥匙"),
}


def two(text: Text) -> str:
    """One text in both languages, the Chinese below."""
    return f'{escape(text.en)} <span lang="zh">{escape(text.zh)}</span>'
