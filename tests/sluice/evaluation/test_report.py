"""The report on a verdict: its figures are those of the answers, and the page needs nothing but itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from itertools import product
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from tests.clients import MODEL
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.lake_contents import put_rows
from tests.sluice.ranked import ndcg
from tests.sluice.toy import TOY

from sluice.dataset.snapshot import make_snapshot, snapshot_rows
from sluice.declaration import Binary, Category, Count, Gate, Multiclass, Ranking, Regression, XGBoost
from sluice.declaration.problems import Problem
from sluice.errors import MissingResource
from sluice.evaluation.contest import Contest, read_contest
from sluice.evaluation.judge import judge
from sluice.evaluation.report import make_report, render_report
from sluice.evaluation.scoring import scores_folder
from sluice.evaluation.verdict import Slice, Verdict, record_verdict
from sluice.lake.store import Lake
from sluice.training.models import Model
from sluice.workspace import Workspace

DIAGONAL = "#b8bec6"  # the dotted line of a picture, from (0, 0) to (1, 1)
FEATURES = ("value", "total", Category("carrier"))
HOSTILE = '<script>1</script>&"$x^$'
DAYS, ROWS = 8, 150  # the last day tests, and the one before it validates
OBJECTIVES: Mapping[type[Problem], dict[str, Any]] = {
    Binary: {"objective": "binary:logistic"},
    Multiclass: {"objective": "multi:softprob", "num_class": 3},
    Regression: {"objective": "reg:squarederror"},
    Count: {"objective": "count:poisson"},
    Ranking: {"objective": "rank:ndcg"},
}
GATES: Mapping[type[Problem], Gate] = {
    Binary: Gate("auc", at_least=0.6, slices=("carrier",), each_slice=0.55, rows=20),
    Multiclass: Gate("accuracy", at_least=0.4, slices=("carrier",), rows=20),
    Regression: Gate("rmse", at_most=9, slices=("carrier",), rows=20),
    Count: Gate("poisson_deviance", at_most=9, rows=20),
    Ranking: Gate("ndcg", at_least=0.6, slices=("carrier",), rows=20),
}


def model(job: str, fingerprint: str, day: int, **changes: Any) -> Model:
    trained = datetime(2013, 2, day, 12, 30, tzinfo=UTC)
    return MODEL.model_copy(update={"job": job, "snapshot": fingerprint, "trained": trained, **changes})


def labels_of(problem: Problem, signal: Any, random: np.random.Generator) -> Any:
    noisy = signal + random.normal(0, 0.7, len(signal))
    if isinstance(problem, Binary):
        return (noisy > 0).astype(float)
    if isinstance(problem, Multiclass | Ranking):
        return np.digitize(noisy, (-0.5, 0.5)).astype(float)
    return random.poisson(np.exp(signal)).astype(float) if isinstance(problem, Count) else 10 * noisy


def answers_of(problem: Problem, value: Any, slope: float) -> Any:
    if isinstance(problem, Binary):
        return 1 / (1 + np.exp(-slope * value))
    if isinstance(problem, Multiclass):
        near = np.exp(-slope * (value[:, None] - np.array((-1, 0, 1))) ** 2)
        return near / near.sum(axis=1, keepdims=True)
    return np.exp(slope * value / 2) if isinstance(problem, Count) else slope * 5 * value


def made_days(problem: Problem) -> dict[int, pd.DataFrame]:
    """Return the rows of each day, the same at each call."""
    random, made = np.random.default_rng(1), {}
    for day in range(1, DAYS + 1):
        value, total = random.normal(size=(2, ROWS))
        rows = pd.DataFrame({"value": value, "total": total, "late": labels_of(problem, value, random)})
        made[day] = rows.assign(
            carrier=random.choice(["UA", "AA", HOSTILE], ROWS), query=np.arange(ROWS) // 10 + 99 * day
        )
    return made


def put_answers(workspace: Workspace, model: Model, fingerprint: str, problem: Problem, slope: float) -> None:
    folder = scores_folder(workspace, model, fingerprint)
    for channel in ("validation", "test"):
        rows = snapshot_rows(workspace.lake, fingerprint, channel)  # type: ignore[arg-type]
        answers = np.asarray(answers_of(problem, rows["value"].to_numpy(), slope)).reshape(len(rows), -1)
        lines = (",".join(map(str, row)) for row in answers.tolist())
        workspace.lake.put(f"{folder}{channel}.csv.out", "".join(f"{line}\n" for line in lines).encode())


def declared(problem: Problem) -> Any:
    training = replace(
        TOY.require_training(),
        problem=problem,
        features=FEATURES,
        candidates=(XGBoost({**OBJECTIVES[type(problem)], "num_round": 2}, channel_format="libsvm"),),
        gate=GATES[type(problem)],
    )
    return replace(TOY, training=training)


@dataclass(frozen=True)
class Reported:
    """A verdict on two challengers and a champion that was trained on fewer days, and the page about it."""

    workspace: Workspace
    verdict: Verdict
    number: int
    page: str
    titles: tuple[str, ...]

    @property
    def contest(self) -> Contest:
        return read_contest(self.workspace, self.verdict)

    def rows(self, *days: int) -> pd.DataFrame:
        """Return the rows of some days, made again."""
        return pd.concat([frame for day, frame in made_days(self.problem).items() if day in days])

    @property
    def problem(self) -> Problem:
        return self.workspace.pipeline.require_training().problem

    def answers(self, job: str) -> Any:
        """Return the answers of a model for the test rows, from the lake."""
        judgement = self.verdict.judgement(job)
        body = self.workspace.lake.get(f"{judgement.scores}test.csv.out").decode()
        return np.array([[float(each) for each in line.split(",")] for line in body.splitlines()])


def report_on(s3: Any, problem: Problem) -> Reported:
    bucket = f"toy-report-{type(problem).__name__.lower()}"
    s3.create_bucket(Bucket=bucket)
    workspace = workspace_of(Lake(s3, bucket, "toy"), declared(problem))
    for day, rows in made_days(problem).items():
        put_rows(workspace.lake, "running", f"2013-01-{day:02d}", rows)
    older = make_snapshot(workspace, last="2013-01-06").fingerprint
    fingerprint = make_snapshot(workspace).fingerprint
    champion = model("toy-old-1", older, 1, candidate="deep")
    challengers = [
        model("toy-deep-2", fingerprint, 8, candidate="deep"),
        model("toy-flat-3", fingerprint, 8, candidate="flat"),
    ]
    for each, slope in ((champion, 0.9), (challengers[0], 2.0), (challengers[1], -0.1)):
        put_answers(workspace, each, fingerprint, problem, slope)
    verdict = judge(workspace, challengers, champion, fingerprint)
    number = record_verdict(workspace.lake, verdict)
    page = render_report(workspace, number)
    return Reported(workspace, verdict, number, page, tuple(re.findall("<h3>(.*?)</h3>", page)))


@pytest.fixture(scope="module")
def binary(cloud: Cloud) -> Reported:
    return report_on(cloud.client("s3"), Binary())


@pytest.fixture(scope="module")
def multiclass(cloud: Cloud) -> Reported:
    return report_on(cloud.client("s3"), Multiclass(3))


@pytest.fixture(scope="module")
def regression(cloud: Cloud) -> Reported:
    return report_on(cloud.client("s3"), Regression())


@pytest.fixture(scope="module")
def count(cloud: Cloud) -> Reported:
    return report_on(cloud.client("s3"), Count())


@pytest.fixture(scope="module")
def ranking(cloud: Cloud) -> Reported:
    return report_on(cloud.client("s3"), Ranking("query"))


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of the cells of its tables, row by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[list[str]] = []
        self.in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append("")
            self.in_cell = True
        elif tag == "small":
            self.lines[-1][-1] += " | "

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.lines[-1][-1] += data

    def line(self, name: str) -> list[str]:
        """Return the cells of the only row of that name."""
        (found,) = (line[1:] for line in self.lines if line and line[0].strip() == name)
        return found

    @property
    def pictures(self) -> dict[str, ElementTree.Element]:
        """The SVG of each picture, by its title."""
        images = [attributes for tag, attributes in self.elements if tag == "img"]
        found = {}
        for each in images:
            kind, _, body = (each["src"] or "").partition(",")
            assert kind == "data:image/svg+xml;base64"
            found[(each["alt"] or "").partition(".")[0]] = ElementTree.fromstring(base64.b64decode(body))
        return found


def texts(picture: ElementTree.Element) -> list[str]:
    return ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]


def lines_of(picture: ElementTree.Element, colour: str) -> list[Any]:
    """Return the points of each line of a colour, of shape ``(points, 2)``, in the unit of the picture, y upwards."""
    found = []
    for path in picture.iter("{http://www.w3.org/2000/svg}path"):
        if f"stroke: {colour}" in path.get("style", "") and "fill: none" in path.get("style", ""):
            points = re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path.get("d", ""))
            found.append(np.array(points, dtype=float) * (1, -1))
    return found


def in_square(picture: ElementTree.Element, colour: str) -> Any:
    """Return the longest line of a colour, on the scale that the dotted diagonal from (0, 0) to (1, 1) gives."""
    (diagonal,) = lines_of(picture, DIAGONAL)[:1]
    line = max(lines_of(picture, colour), key=len)
    return (line - diagonal[0]) / (diagonal[-1] - diagonal[0])


def auc_of(labels: Any, scores: Any) -> float:
    pairs = [
        (one > other) + (one == other) / 2
        for (of_one, one), (of_other, other) in product(zip(labels, scores, strict=True), repeat=2)
        if of_one > of_other
    ]
    return float(np.mean(pairs))


def test_first_screen_says_what_should_be_live_and_why(binary: Reported) -> None:
    top = binary.page.partition("<h2>")[0]

    assert "<strong>deep should go live instead of deep (champion).</strong>" in top
    assert "toy-deep-2 should be live: its auc is" in top
    for text in ("toy: verdict 1", "Binary", "<code>late</code>", binary.verdict.snapshot):
        assert text in top
    assert Page(binary.page).line("result") == ["passes", "wins", "breaks a rule"]


def test_figures_are_those_of_the_answers(binary: Reported) -> None:
    page, labels = Page(binary.page), binary.rows(8)["late"].to_numpy()
    jobs = ["toy-old-1", "toy-deep-2", "toy-flat-3"]
    reached = [auc_of(labels, binary.answers(job)[:, 0]) for job in jobs]

    assert page.line("auc (gate)") == [
        f"{value:.4f} | {each.low:.4f} to {each.high:.4f}"
        for value, each in zip(reached, (binary.verdict.judgement(job).metrics["auc"] for job in jobs), strict=True)
    ]
    accuracies = [np.mean((binary.answers(job)[:, 0] >= 0.5) == labels) for job in jobs]
    assert [cell.partition(" |")[0] for cell in page.line("accuracy")] == [f"{each:.4f}" for each in accuracies]
    gains = [cell.partition(" |")[0] for cell in page.line("gain in auc over the champion")]
    assert gains == ["\N{EN DASH}", f"{reached[1] - reached[0]:+.4f}", f"{reached[2] - reached[0]:+.4f}"]
    assert page.line("trained (UTC)") == ["2013-02-01 12:30", "2013-02-08 12:30", "2013-02-08 12:30"]
    assert page.line("training time") == ["61 s"] * 3
    assert page.line("training job") == jobs


def test_slices_are_those_of_the_answers(binary: Reported) -> None:
    page, test = Page(binary.page), binary.rows(8)
    for carrier in ("UA", "AA", HOSTILE):
        own = (test["carrier"] == carrier).to_numpy()
        expected = [
            f"{auc_of(test['late'].to_numpy()[own], binary.answers(job)[own, 0]):.4f}"
            for job in ("toy-old-1", "toy-deep-2", "toy-flat-3")
        ]
        assert page.line(carrier) == [str(own.sum()), *expected]
    assert len(re.findall('class="number broken"', binary.page)) == 3  # the flat model, on each carrier
    assert "bound of each slice" in texts(page.pictures["Slices"])


def test_snapshot_and_rules_are_shown(binary: Reported) -> None:
    page = Page(binary.page)

    assert page.line("train") == ["dt=2013-01-01 to dt=2013-01-06", "900"]
    assert page.line("validation") == ["dt=2013-01-07", "150"]
    assert page.line("test") == ["dt=2013-01-08", "150"]
    assert page.line("metric") == ["auc"]
    assert [page.line(rule) for rule in ("at_least", "margin", "rows", "slices", "each_slice")] == [
        ["0.6"],
        ["0.02"],
        ["20"],
        ["carrier"],
        ["0.55"],
    ]


def test_roc_curve_has_the_area_of_the_auc(binary: Reported) -> None:
    picture, labels = Page(binary.page).pictures["ROC curve"], binary.rows(8)["late"].to_numpy()
    for job, colour in (("toy-old-1", "#4d4d4d"), ("toy-deep-2", "#0072b2"), ("toy-flat-3", "#d55e00")):
        curve, auc = in_square(picture, colour), auc_of(labels, binary.answers(job)[:, 0])
        assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(auc, abs=1e-3)
        assert any(text.endswith(f"AUC {auc:.4f}") for text in texts(picture))


def test_calibration_has_the_shares_of_bins_of_equal_count(binary: Reported) -> None:
    picture, labels = Page(binary.page).pictures["Calibration"], binary.rows(8)["late"].to_numpy()
    scores = binary.answers("toy-deep-2")[:, 0]
    tenths = np.split(np.argsort(scores), 10)  # no two scores are equal, and ten bins of 15 rows divide the 150
    expected = [(scores[rows].mean(), labels[rows].mean()) for rows in tenths]

    curves = [each for each in lines_of(picture, "#0072b2") if len(each) == 10]
    (diagonal,) = lines_of(picture, DIAGONAL)[:1]
    found = (curves[0] - diagonal[0]) / (diagonal[-1] - diagonal[0])

    assert found == pytest.approx(np.array(expected), abs=1e-3)


def stability_index(train: pd.Series[Any], test: pd.Series[Any]) -> float:
    """Return the population stability index of a category all of whose values are in both."""
    wanted, found = (rows.value_counts(normalize=True).sort_index().to_numpy() for rows in (train, test))
    return float(np.sum((found - wanted) * np.log(found / wanted)))


def test_drift_is_from_the_train_rows_of_each_snapshot(binary: Reported) -> None:
    test = binary.rows(8)["carrier"]
    (own, of_own), (champions, of_champion) = binary.contest.drifts()

    assert (own, champions) == ("from the train rows of this snapshot", "from the train rows of the champion")
    assert of_own["carrier"] == pytest.approx(stability_index(binary.rows(*range(1, 7))["carrier"], test))
    assert of_champion["carrier"] == pytest.approx(stability_index(binary.rows(*range(1, 5))["carrier"], test))
    assert {own, champions} <= set(texts(Page(binary.page).pictures["Drift of the features"]))


def test_drift_is_shown_once_where_the_champion_was_trained_on_the_same_rows(binary: Reported) -> None:
    champion = binary.verdict.judgements[1].model.job
    same = binary.verdict.model_copy(update={"champion": champion})

    assert [name for name, _ in read_contest(binary.workspace, same).drifts()] == [
        "from the train rows of this snapshot"
    ]


COMMON = ("Slices", "Drift of the features", "Importance of the features, by a surrogate")


@pytest.mark.slow
def test_each_problem_has_its_pictures(
    binary: Reported, multiclass: Reported, regression: Reported, count: Reported, ranking: Reported
) -> None:
    errors = ("Residuals against the predicted value", "Histogram of residuals")
    assert binary.titles == ("ROC curve", "Calibration", *COMMON)
    assert multiclass.titles == ("Confusion matrix", *COMMON)
    assert regression.titles == (*errors, *COMMON)
    assert count.titles == (*errors, *COMMON[1:])  # its gate has no slices
    assert ranking.titles == ("Relevance by place", *COMMON)
    for each in (binary, multiclass, regression, count, ranking):
        assert set(Page(each.page).pictures) == set(each.titles)


@pytest.mark.slow
def test_confusion_matrix_has_the_shares_of_each_class(multiclass: Reported) -> None:
    labels, answers = multiclass.rows(8)["late"].to_numpy(), multiclass.answers("toy-deep-2").argmax(axis=1)
    expected = [
        f"{np.mean(answers[labels == of_label] == predicted):.2f}"
        for of_label, predicted in product(range(3), repeat=2)
    ]

    found = texts(Page(multiclass.page).pictures["Confusion matrix"])

    assert "".join(expected) in "".join(text for text in found if re.fullmatch(r"\d\.\d\d", text))


@pytest.mark.slow
def test_relevance_by_place_is_that_of_the_order_of_the_answers(ranking: Reported) -> None:
    """The ten rows of each of the 15 queries of the test, by numpy alone; the picture is in its own unit."""
    labels = ranking.rows(8)["late"].to_numpy().reshape(15, 10)
    (best,) = lines_of(Page(ranking.page).pictures["Relevance by place"], DIAGONAL)[:1]
    ideal = np.sort(labels, axis=1)[:, ::-1].mean(axis=0)
    unit = (best[0, 1] - best[-1, 1]) / (ideal[0] - ideal[-1])

    for job, colour in (("toy-old-1", "#4d4d4d"), ("toy-deep-2", "#0072b2"), ("toy-flat-3", "#d55e00")):
        order = np.argsort(-ranking.answers(job).reshape(15, 10), axis=1, kind="stable")
        expected = np.take_along_axis(labels, order, axis=1).mean(axis=0)
        curves = lines_of(Page(ranking.page).pictures["Relevance by place"], colour)
        (found,) = (each for each in curves if len(each) == 10)
        assert ideal[0] + (found[:, 1] - best[0, 1]) / unit == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_slices_of_a_ranking_are_those_of_the_rows_that_have_the_value(ranking: Reported) -> None:
    """A query's rows of one carrier are ranked among themselves."""
    page, test = Page(ranking.page), ranking.rows(8).rename(columns={"late": "relevance"}).reset_index(drop=True)
    for carrier in ("UA", "AA"):
        own = test["carrier"] == carrier
        expected = [
            f"{ndcg(test[own], ranking.answers(job)[own, 0]):.4f}" for job in ("toy-old-1", "toy-deep-2", "toy-flat-3")
        ]
        assert page.line(carrier) == [str(own.sum()), *expected]


@pytest.mark.slow
def test_errors_are_shown_in_the_unit_of_the_label(regression: Reported) -> None:
    labels, values = regression.rows(8)["late"].to_numpy(), regression.answers("toy-deep-2")[:, 0]
    rmse = np.sqrt(np.mean((labels - values) ** 2))
    page = Page(regression.page)

    assert page.line("rmse (gate)")[1].startswith(f"{rmse:.4f} | ")
    residuals = page.pictures["Residuals against the predicted value"]
    assert {"deep (champion)", "deep", "flat", "late - predicted"} <= set(texts(residuals))


@pytest.mark.slow
def test_page_needs_nothing_but_itself(
    binary: Reported, multiclass: Reported, regression: Reported, count: Reported
) -> None:
    for each in (binary, multiclass, regression, count):
        page = Page(each.page)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "a", "svg"}
        for _, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "href"]
            assert (attributes.get("src") or "data:").startswith("data:")
        code = re.sub(r"data:[^\"]*", "", each.page)
        assert not re.search(r"https?:|//|url\(|@import", code)
        for picture in page.pictures.values():
            for element in picture.iter():
                assert not element.tag.endswith(("script", "foreignObject"))
                assert element.get("{http://www.w3.org/1999/xlink}href", "#").startswith(("#", "data:"))


def test_text_of_the_data_is_text_of_the_page(binary: Reported) -> None:
    page = Page(binary.page)

    assert "<script" not in binary.page
    assert [HOSTILE in line for line in page.lines].count(True) == 1
    assert f"carrier={HOSTILE}, and each slice" in "".join(re.findall(r"(?s)<ul>.*</ul>", unescape(binary.page)))
    own = int((binary.rows(8)["carrier"] == HOSTILE).sum())
    assert f"{HOSTILE} ({own})" in texts(page.pictures["Slices"])


@pytest.mark.slow
def test_same_verdict_gives_the_same_bytes(binary: Reported, regression: Reported) -> None:
    for each in (binary, regression):
        assert render_report(each.workspace, each.number) == each.page


def test_report_is_an_html_object_in_the_lake(binary: Reported) -> None:
    lake = binary.workspace.lake

    key = make_report(binary.workspace, binary.number)
    again = make_report(binary.workspace, binary.number)

    assert key == again == lake.layout.report(binary.number) == "toy/evaluations/reports/000001.html"
    found = lake.s3.get_object(Bucket=lake.bucket, Key=key)
    assert found["ContentType"] == "text/html; charset=utf-8"
    assert found["Body"].read().decode() == binary.page


def test_verdict_that_does_not_exist_has_no_report(binary: Reported) -> None:
    with pytest.raises(MissingResource, match="has no verdict 99; run toy_train"):
        make_report(binary.workspace, 99)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("winner", "champion", "headline"),
    [
        (None, "toy-old-1", "No model passes the gate. What is live stays live."),
        (None, None, "No model passes the gate."),
        ("toy-old-1", "toy-old-1", "deep (champion) stays live."),
        ("toy-flat-3", None, "flat should go live. There was no champion."),
    ],
)
def test_outcome_is_told_as_it_is(count: Reported, winner: str | None, champion: str | None, headline: str) -> None:
    verdict = count.verdict.model_copy(update={"winner": winner, "champion": champion})

    page = render_report(count.workspace, record_verdict(count.workspace.lake, verdict))

    assert f"<strong>{headline}</strong>" in page
    assert ("over the champion" in page) == (champion is not None)


@pytest.mark.slow
def test_worst_slices_are_shown_where_there_are_many(count: Reported) -> None:
    """Of the deviance, more is worse. A slice that could not be judged comes last."""
    slices = tuple(
        Slice(column="hour", value=f"h{n}", rows=100 + n, reached=None if n == 40 else n / 100) for n in range(41)
    )
    judgements = tuple(each.model_copy(update={"slices": slices}) for each in count.verdict.judgements)
    verdict = count.verdict.model_copy(update={"judgements": judgements})

    page = Page(text := render_report(count.workspace, record_verdict(count.workspace.lake, verdict)))

    shown = [line[0] for line in page.lines if line and re.fullmatch(r"h\d+", line[0])]
    assert shown == [f"h{n}" for n in range(39, 9, -1)]
    assert page.line("h39") == ["139", *["0.3900"] * 3]
    assert "The worst 30; 11 more are in the verdict." in text
    assert "h39 (139)" in texts(page.pictures["Slices"])
