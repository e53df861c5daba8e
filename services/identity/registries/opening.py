"""The registries that a deployment asks, as its settings say."""

from services.identity.registries import Registry
from services.identity.registries.annuaire_sante import AnnuaireSante
from services.identity.registries.extraction import Extraction
from services.identity.registries.npi import Npi
from services.identity.settings import Settings
from services.identity.store.turns import SharedPace
from shared.errors import WrongSetting
from shared.mongo import Database


def open_registries(settings: Settings, db: Database) -> dict[str, Registry]:
    """By name. Connects to nothing yet. Raises WrongSetting where a registry lacks its key."""
    found: dict[str, Registry] = {}
    if settings.registry_rpps == "annuaire":
        key = settings.annuaire_key.get_secret_value()
        if not key:
            raise WrongSetting("IDENTITY_REGISTRY_RPPS is annuaire, which needs IDENTITY_ANNUAIRE_KEY.")
        pace = SharedPace(db, "annuaire", settings.annuaire_calls_per_s)
        found["rpps"] = AnnuaireSante(key, pace, base_url=settings.annuaire_url)
    elif settings.registry_rpps == "extraction":
        found["rpps"] = Extraction(db)
    if settings.registry_npi == "nppes":
        found["npi"] = Npi(SharedPace(db, "nppes", settings.nppes_calls_per_s), base_url=settings.nppes_url)
    return found
