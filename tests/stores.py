"""Who may enter the real object store, as `Blobs` wants to know it."""

from dataclasses import dataclass

from pydantic import SecretStr

from deploy.local import Platform


@dataclass(frozen=True)
class Access:
    """What `Blobs` needs to know."""

    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: SecretStr
    s3_secure: bool = False


def access(platform: Platform, service: str) -> Access:
    if service == "admin":
        given = platform.provision_settings()
        return Access(platform.where().s3, given.admin_s3_access_key, given.admin_s3_secret_key)
    secret = platform.credentials.password(f"{service}_s3_secret_key")
    return Access(platform.where().s3, service, SecretStr(secret))
