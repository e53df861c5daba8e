"""What every body of a request is: texts stripped, unknown fields refused."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

# Line breaks and tabs are text; other control characters are not.
NO_CONTROLS = r"^[^\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]*$"
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=NO_CONTROLS)]


class Asking(BaseModel):
    model_config = ConfigDict(extra="forbid")
