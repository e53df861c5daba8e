"""identity's commands about registries, as an operator runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.local import Platform
from services.identity.__main__ import cli
from services.identity.registries.annuaire_sante import AnnuaireSante
from services.identity.registries.extraction import Extraction
from services.identity.registries.npi import Npi
from services.identity.registries.opening import open_registries
from services.identity.settings import Settings
from shared.errors import WrongSetting
from shared.mongo import Mongo
from tests.unit.test_identity_extraction import ACTIVITY, activity


def written(folder: Path, *lines: str, header: str = ACTIVITY) -> str:
    path = folder / "PS_LibreAcces_Personne_activite_202603010800.txt"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return str(path)


@pytest.mark.platform
def test_an_extraction_is_imported_and_what_cannot_be_read_is_told(platform: Platform, tmp_path: Path) -> None:
    runner = CliRunner(env=platform.service_env("identity"))
    people = [activity(f"9994000{n:04d}") for n in range(3)]
    file = written(tmp_path, *people, "8|cut")
    refused = runner.invoke(cli, ["import-extraction", file])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("1 of 4 lines cannot be read")
    taken = runner.invoke(cli, ["import-extraction", file, "--force"])
    assert taken.exit_code == 0
    assert taken.stdout.startswith("3 people practise by 4 lines, as of 2026-03-01T08:00:00")
    assert taken.stderr.strip() == "PS_LibreAcces_Personne_activite_202603010800.txt, line 5: 2 cells, not 19"
    shown = json.loads(runner.invoke(cli, ["import-extraction", written(tmp_path, *people), "--json"]).stdout)
    assert (shown["people"], shown["people_before"], shown["malformed_lines"]) == (3, 3, 0)


@pytest.mark.platform
def test_a_wrong_file_gets_a_sentence(platform: Platform, tmp_path: Path) -> None:
    runner = CliRunner(env=platform.service_env("identity"))
    missing = runner.invoke(cli, ["import-extraction", str(tmp_path / "missing.txt")])
    assert missing.exit_code == 1
    assert missing.stderr.strip().endswith("missing.txt cannot be read: No such file or directory.")
    wrong = runner.invoke(cli, ["import-extraction", written(tmp_path, "a", header="b")])
    assert wrong.exit_code == 1
    assert "is no file of the extraction" in wrong.stderr


@pytest.mark.platform
def test_nobody_due_is_said_and_a_missing_key_too(platform: Platform) -> None:
    env = platform.service_env("identity")
    nobody = CliRunner(env=env).invoke(cli, ["recheck"])
    assert (nobody.exit_code, nobody.stdout.strip()) == (0, "nobody was due")
    keyless = CliRunner(env={**env, "IDENTITY_REGISTRY_RPPS": "annuaire"}).invoke(cli, ["recheck"])
    assert keyless.exit_code == 1
    assert keyless.stderr.strip() == "IDENTITY_REGISTRY_RPPS is annuaire, which needs IDENTITY_ANNUAIRE_KEY."


async def test_a_deployment_asks_the_registries_that_its_settings_name() -> None:
    mongo = Mongo("mongodb://127.0.0.1:9/", "identity")

    def opened(**values: Any) -> dict[str, type]:
        return {name: type(one) for name, one in open_registries(Settings(**values), mongo.db).items()}

    assert opened() == {}
    assert opened(registry_rpps="annuaire", annuaire_key="k", registry_npi="nppes") == {
        "rpps": AnnuaireSante,
        "npi": Npi,
    }
    assert opened(registry_rpps="extraction") == {"rpps": Extraction}
    with pytest.raises(WrongSetting):
        opened(registry_rpps="annuaire")
    mongo.close()
