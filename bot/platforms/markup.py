"""The markdown that replies are written in, in pieces: for platforms that write it another way."""

import re
from typing import Final

FENCE: Final = "```"
TOKEN: Final = re.compile(
    r"```[^\n]*\n(?P<block>.*?)(?:\n?```|\Z)"
    r"|`(?P<code>[^`\n]+)`"
    r"|\\(?P<literal>[!-/:-@\[-`{-~])"
    r"|\[(?P<label>(?:\\.|[^\]\\\n])*)\]\((?P<url>[^)\s]*)\)"
    r"|(?P<bold>\*\*)"
    r"|(?P<line>[ ]*\n)"
    r"|(?P<text>[^\\`\[*\n ]+|.)",
    re.DOTALL,
)
