"""The lists of usage.txt by name: which words have a capital letter without naming anybody, and which introduce one."""

from shared.deid.words import sections

_SAID = sections("usage.txt")

MONTHS_AND_DAYS = _SAID["months_and_days"]
PEOPLES = _SAID["peoples"]
WORLD = _SAID["world"]
CARE = _SAID["care"]
FUNCTION_WORDS = _SAID["function_words"]
EXAMS = _SAID["exams"]
TITLES = _SAID["titles"]
SHORT_TITLES = _SAID["short_titles"]
ROLES = _SAID["roles"]
KIN = _SAID["kin"]
NAMED = _SAID["named"]
PARTICLES = _SAID["particles"]
PLACE_WORDS = _SAID["place_words"]
WEAK_PLACE_WORDS = _SAID["weak_place_words"]
GENERIC_PLACES = _SAID["generic_places"]
VERBS = _SAID["verbs"]
STARTERS = _SAID["starters"]
TREATED_WITH = _SAID["treated_with"]
OF_THINGS = _SAID["of_things"]
