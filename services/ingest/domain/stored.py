"""What every stored value of ingest is."""

from pydantic import BaseModel, ConfigDict


class Stored(BaseModel):
    """What lies in the database. Where it cannot be read, the error that reaches a log says so without its words."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Kept(Stored):
    """Stored, and never changed: a new value replaces it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)
