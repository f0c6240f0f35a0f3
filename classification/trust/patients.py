"""What is a prediction worth to patients, and whom does it fail?

Sensitivity and specificity of each class against the rest have exact intervals over patients. Predictive values at
stated prevalences follow by Bayes, and their bounds from the bounds of both; such intervals are rather wide (a test
simulates how often they hold the true value). Net benefit is that of Vickers and Elkin (2006).
"""

import math

import numpy as np
import pandas as pd

from classification.trust.part import Figure, Part
from classification.trust.subject import Subject, origin
from cxr.stats import bootstrap, proportion

TITLE = "What is it worth to patients, and whom does it fail?"
MEANS = (
    "A low predictive value means that most alarms are false where the disease is as rare as stated; a group below the "
    "others means that it is served worse."
)
PREVALENCES = (0.02, 0.1, 0.3)
SENSITIVITY = 0.95  # of the second operating point
THRESHOLDS = (0.1, 0.25, 0.5)  # of net benefit
FEW = 20  # patients, below which a group gets a warning
AGES = {"under 18": (0, 18), "18 to 39": (18, 40), "40 to 64": (40, 65), "65 and over": (65, 200)}
COLUMNS = ["what", "class", "at", "prevalence", "value", "low", "high", "cases", "patients", "note"]


def measure(subject: Subject) -> Part:
    """The part "patients". Accused where a group's interval lies below that of the other patients; either must hold
    FEW patients at least, and where no two do, it is not tested."""
    if subject.predictions is None:
        return Part("patients", TITLE, MEANS, [], "There are no predictions.", None, "Give predictions.csv with -p.")
    rows = []
    for c in range(len(subject.names)):
        rows += of_class(subject, c)
        rows += net_benefit(subject, c)
    groups, worse, unknown = subgroups(subject)
    table = pd.DataFrame(rows + groups, columns=COLUMNS)
    shown = table[(table["what"] != "net benefit") & (table["at"] != f"sensitivity {SENSITIVITY}")]
    wanted = ["value", "low", "high", "cases", "patients", "note"]
    figures = [Figure(_name(row), *row[wanted]) for _, row in shown.iterrows()]
    told = _best_alarm(table)
    if worse is None:
        told += f"; no group and its rest have {FEW} patients each"
    else:
        told += f"; the accuracy is lower for {', '.join(worse)}" if worse else "; no group is clearly served worse"
    accused = None if worse is None else bool(worse)
    missing = f"Unknown: {', '.join(unknown)}; a table that tells it (file_metadata) would allow it." if unknown else ""
    return Part("patients", TITLE, MEANS, figures, f"{told}. {origin(subject)}", accused, missing, table)


def _best_alarm(table: pd.DataFrame) -> str:
    """Of the class whose alarms are right most often, how often, where it is rarest."""
    rare = table[(table["what"] == "PPV") & (table["at"] == "vote") & table.value.notna()]
    rare = rare[rare.prevalence == rare.prevalence.min()]
    if not len(rare):
        return "No class was predicted"
    best = rare.loc[rare.value.idxmax()]
    where = f"Where {best.prevalence:.0%} of patients have a class"
    told = f"{best.value:.0%} ({best.low:.0%} to {best.high:.0%})"
    return f"{where}, at most {told} of its alarms are right, those of {best['class']}"


def of_class(subject: Subject, c: int) -> list[list]:
    """Rows of sensitivity, specificity and predictive values of a class, by the vote and where sensitivity is set."""
    name, sick = subject.names[c], subject.label == c
    if not sick.any() or sick.all():
        return []
    p = subject.predictions[f"p_{name}"].to_numpy(float)
    vote = (subject.predictions.predicted == name).to_numpy()
    least = np.sort(p[sick])[::-1][math.ceil(SENSITIVITY * sick.sum()) - 1]
    chosen = f"p of {least:.3f} or more; chosen on these data, so it looks better than it is"
    rows, total = [], [len(sick), len(set(subject.patient))]
    for at, positive, note in (("vote", vote, ""), (f"sensitivity {SENSITIVITY}", p >= least, chosen)):
        found = [share(positive[sick], subject.patient[sick]), share(~positive[~sick], subject.patient[~sick])]
        for what, among, values in zip(("sensitivity", "specificity"), (sick, ~sick), found, strict=True):
            counts = int(among.sum()), len(set(subject.patient[among]))
            rows.append([what, name, at, None, *values, *counts, note])
        for prevalence in getattr(subject.settings, "prevalence", PREVALENCES):
            three = [predictive(*pair, prevalence) for pair in zip(*found, strict=True)]
            for what, values in zip(("PPV", "NPV"), zip(*three, strict=True), strict=True):
                rows.append([what, name, at, prevalence, *values, *total, note])
    return rows


def share(happened: np.ndarray, patient: np.ndarray) -> tuple[float, float, float]:
    """The share of cases to which something happened, and its exact interval over patients."""
    return float(np.mean(happened)), *proportion.of_cases(happened, patient)


def predictive(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Positive and negative predictive value (Bayes), NaN where there is no such answer."""
    found, spared = sensitivity * prevalence, specificity * (1 - prevalence)
    alarms, quiet = found + (1 - specificity) * (1 - prevalence), spared + (1 - sensitivity) * prevalence
    return found / alarms if alarms else np.nan, spared / quiet if quiet else np.nan


def net_benefit(subject: Subject, c: int) -> list[list]:
    """Rows of the net benefit of acting where p of a class reaches a threshold, at the share that the class has here,
    and of acting always."""
    sick, p = subject.label == c, subject.predictions[f"p_{subject.names[c]}"].to_numpy(float)
    rows = []
    for threshold in THRESHOLDS:
        worth = np.where(sick, 1.0, -threshold / (1 - threshold))
        values = worth * (p >= threshold)
        low, high = bootstrap.mean_interval(values, subject.patient)
        note = f"acting always: {worth.mean():.3f}"
        about = [sick.mean(), values.mean(), low, high, len(sick), len(set(subject.patient)), note]
        rows.append(["net benefit", subject.names[c], f"p of {threshold}", *about])
    return rows


def subgroups(subject: Subject) -> tuple[list[list], list[str] | None, list[str]]:
    """Rows of the accuracy by sex, age, view and source; the groups that are clearly below the others, None where none
    could be compared; and what is unknown of how many cases."""
    right = (subject.predictions.predicted == np.array(subject.names, object)[subject.label]).to_numpy()
    rows, worse, unknown = [], None, []
    groups = {name: subject.facts[name].to_numpy() for name in ("sex", "view", "source")}
    groups["age"] = age_groups(subject.facts.age)
    for what, values in groups.items():
        known = (values != "") & pd.notna(values)
        if (gaps := int((~known).sum())) and what != "source":
            unknown.append(f"{what} for {gaps} cases")
        order = [*AGES].index if what == "age" else str
        for value in sorted(set(values[known]), key=order):
            among = values == value
            one, rest = (share(right[of], subject.patient[of]) if of.any() else None for of in (among, known & ~among))
            counts = [len(set(subject.patient[of])) for of in (among, known & ~among)]
            note = f"fewer than {FEW} patients" if counts[0] < FEW else ""
            rows.append([what, "", value, None, *one, int(among.sum()), counts[0], note])
            if min(counts) >= FEW:
                worse = (worse or []) + [f"{what} {value}"] * (one[2] < rest[1])
    return rows, worse, unknown


def age_groups(age: pd.Series) -> np.ndarray:
    """The group of AGES of each age, "" where it is unknown."""
    conditions = [((age >= low) & (age < high)).to_numpy() for low, high in AGES.values()]
    return np.select(conditions, list(AGES), "").astype(object)


def _name(row: pd.Series) -> str:
    if not row["class"]:
        return f"accuracy: {row['what']} {row['at']}"
    told = f"{row['what']} of {row['class']}"
    return told if pd.isna(row.prevalence) else f"{told} at a prevalence of {row.prevalence:g}"
