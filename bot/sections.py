"""What the configuration's tree is made of: the frozen section, and the kinds of names that its fields hold.

Only the material. What the sections say stands in `settings` and `alert_settings`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
"""Names of environments, services, roles and people: lower case, at most 32 characters."""
Snowflake = Annotated[int, Field(gt=0, lt=2**63)]


class Section(BaseModel):
    """A part of the file: frozen once loaded, and a key that it does not know is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")
