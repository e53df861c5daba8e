"""The platform without containers: Kafka, MongoDB, an S3 store, the gateway and the five services on this machine.

`python -m deploy.local --help` lists the commands; `Platform` is the same for tests and the demo.
"""

from deploy.local.platform import Platform
from deploy.local.processes import PlatformError

__all__ = ["Platform", "PlatformError"]
